"""Iterations inside a proximal map or a value: batched, from zero each time, stopped by a duality gap."""
