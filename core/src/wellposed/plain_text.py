"""Texts of unknown origin, made fit to be shown: what would steer a terminal is spelt out."""

from __future__ import annotations

import re

#: Control characters but line breaks and tabs, the separators that also break lines, and what turns the direction.
_STEERING = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
_CONTROL = re.compile(f"[{_STEERING}]")
_CONTROL_OR_BREAK = re.compile(f"[{_STEERING}\\n\\t]")
#: A change of colour or weight, which programs write on purpose and which moves and renames nothing.
_COLOUR = re.compile("(\x1b\\[[0-9;]*m)")


def visible(text: str) -> str:
    """`text` with control characters spelt out as in JSON (`\\u001b`); line breaks and tabs stay."""
    return _CONTROL.sub(_spelt, text)


def visible_but_colours(text: str) -> str:
    """As `visible`, where colours and carriage returns may stay."""
    parts = _COLOUR.split(text)
    return "".join(part if i % 2 else "\r".join(map(visible, part.split("\r"))) for i, part in enumerate(parts))


def on_one_line(text: str) -> str:
    """As `visible`, with line breaks as blanks."""
    return visible(" ".join(line.strip() for line in text.splitlines()))


def has_control(text: str) -> bool:
    """Whether a text holds control characters, line breaks and tabs among them."""
    return _CONTROL_OR_BREAK.search(text) is not None


def _spelt(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
