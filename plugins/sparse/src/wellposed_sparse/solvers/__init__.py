"""Unrolled sparse networks, and the linear map that one of them starts from."""
