"""Many codecs trained side by side on one device, in minutes: `python -m codec.training.fleet`."""
