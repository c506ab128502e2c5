"""Entropy coding of latents, exact on every machine."""
