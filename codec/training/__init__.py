"""Training codecs: initialisation, many runs side by side on one device, and the loss that decides between them."""
