"""The assignment map and its coding."""
