"""Studies of encoders for small boards."""
