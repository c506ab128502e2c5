"""Training of the fusion: pairs of views made from single pictures, and the loop over them."""
