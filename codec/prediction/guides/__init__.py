"""Guides as bytes."""
