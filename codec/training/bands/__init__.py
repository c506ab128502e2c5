"""Codecs of other pictures than 8-bit RGB: where they begin, and what they are trained on."""
