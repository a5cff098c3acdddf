"""Losses that are not the metric of a table: any metric that is better when lower can be trained with."""
