"""Learned image compression: one definition for both ends of the downlink."""
