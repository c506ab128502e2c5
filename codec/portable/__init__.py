"""Transforms that give the same numbers on every machine: what predicts a stream must not depend on who
computes it."""
