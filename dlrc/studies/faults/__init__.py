"""What is left of runs in which satellites are lost, silent or wrong."""
