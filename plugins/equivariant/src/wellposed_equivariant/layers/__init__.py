"""Convolutions between fields: ordinary ones, our own steerable ones, and those of escnn."""
