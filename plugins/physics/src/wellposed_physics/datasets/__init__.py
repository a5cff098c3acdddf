"""Datasets: phantoms, random images, folders of files, and measured scans with their geometry."""
