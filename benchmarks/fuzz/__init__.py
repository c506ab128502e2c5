"""What `dlrc bench fuzz_container` damages."""
