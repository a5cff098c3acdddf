"""Total-variation denoising, the model of Rudin, Osher and Fatemi, solved to a certified gap."""

from .denoise import Denoised, denoise

__all__ = ["Denoised", "denoise"]
