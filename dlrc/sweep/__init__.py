"""Grids of runs: which cells there are, who flies them, and the one table that they give."""
