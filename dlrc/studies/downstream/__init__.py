"""What compression does to maps that are made of the pictures."""
