"""Magnetic resonance imaging: Fourier encoding, coil maps, sampling masks."""
