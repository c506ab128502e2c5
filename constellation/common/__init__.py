"""What every drawer uses and no drawer is about: errors, text."""
