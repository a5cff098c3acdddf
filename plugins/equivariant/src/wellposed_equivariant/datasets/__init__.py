"""Datasets made from others: turned images, and a part of a collection."""
