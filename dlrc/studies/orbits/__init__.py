"""What orbits have to do with what is saved."""
