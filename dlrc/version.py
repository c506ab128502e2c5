"""The program's version, of which every run's folder tells."""

__version__ = "0.3.0"
