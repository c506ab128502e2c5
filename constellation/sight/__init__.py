"""What satellites see of the ground from their orbits: when, from where, and which ground is below a
pixel."""
