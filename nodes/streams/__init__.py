"""Satellites that exchange their streams: what they send, what they make of what they heard, and how they
code in its light."""
