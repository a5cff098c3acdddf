"""Random sparse codes."""
