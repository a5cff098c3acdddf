"""The command line. Importing it, `--help`, `list` and `recipes` import neither torch nor a plugin."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `wellposed` command: run `arguments` (default: the process's) and exit."""
    from .boundary import run

    sys.exit(run(sys.argv[1:] if arguments is None else arguments))
