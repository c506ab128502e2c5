"""Rerunnable scripts behind every speed claim."""
