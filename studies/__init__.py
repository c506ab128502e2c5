"""One module per figure or table of the paper, and one per question the paper leaves open."""
