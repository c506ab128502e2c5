"""The codecs, their checkpoints and shipped weights."""
