"""`python -m wellposed`: the command line, for launchers that start modules."""

from .cli import main

main()
