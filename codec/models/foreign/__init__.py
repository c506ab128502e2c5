"""Networks from elsewhere, taken in safely: of their files only tensors are read, no code."""
