"""Questions past the paper."""
