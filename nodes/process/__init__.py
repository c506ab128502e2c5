"""What a rank is to its machine."""
