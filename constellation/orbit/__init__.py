"""Where the satellites are."""
