"""Analysis transforms for small boards: elic's entropy model and decoder behind cheaper encoders."""
