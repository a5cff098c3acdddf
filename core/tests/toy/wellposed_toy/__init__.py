"""A small plugin for the tests of the command line: one component of each kind that a run needs."""
