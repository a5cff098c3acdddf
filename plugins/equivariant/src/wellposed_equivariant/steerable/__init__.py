"""Kernels that turn with their argument: groups, representations, and bases of steerable kernels."""
