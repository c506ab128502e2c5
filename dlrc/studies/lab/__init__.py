"""The laboratory: a page for each of the two questions that people bring, latency and priority."""
