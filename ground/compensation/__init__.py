"""A small net on the ground that adds detail to decoded pictures. What it makes is generated: it is written
beside the exact product, marked, and never in its place."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "weights"  # of the nets that ship
