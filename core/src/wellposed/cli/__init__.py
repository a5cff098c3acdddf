"""The command line. Importing it, `--help`, `list` and `recipes` import neither torch nor a plugin."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the `wellposed` command."""
    from .boundary import run

    sys.exit(run(sys.argv[1:]))
