"""Priors that ship, fitted to training pictures."""
