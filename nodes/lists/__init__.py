"""Signature lists of earlier rounds: what of them is kept, and how a view refers to it."""
