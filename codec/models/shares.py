"""How a fleet of trainings is shared out among the families: lambdas, device time, learning rates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """A family's part in a fleet."""

    lambdas: tuple[float, ...]
    first: float
    """share of the device of the run at LEAD, in any unit"""
    other: float
    """of each other"""
    lr: float
    """highest learning rate"""
    grouped: bool = False
    """whether its latents come in groups of channels"""


FLEET = {
    "elic": Share((0.013, 0.0067, 0.0483), 2.4, 1.8, 8e-4, grouped=True),
    "cheng": Share((0.013,), 2.0, 0.0, 8e-4),
    "mbt": Share((0.013, 0.0067, 0.0483), 1.4, 1.0, 1e-3),
    "bmshj": Share((0.013, 0.0067, 0.025, 0.0483), 1.0, 0.8, 1e-3),
}
