"""The constellation in motion, for people."""
