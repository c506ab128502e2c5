"""How a fleet of trainings is shared out among the families: lambdas, device time, learning rates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """A family's part in a fleet."""

    lambdas: tuple[float, ...]
    first: float
    """share of the device of the run at LEAD while the first runs train, in any unit"""
    other: float
    """of each of its others, and of what trains from beginning to end, afterwards"""
    lr: float
    """highest learning rate from the transform of the pictures"""
    grouped: bool = False
    """whether its latents come in groups of channels"""
    teacher: str = ""
    """the family whose entropy model and decoder it takes as they are, so that only its encoder is trained"""


FLEET = {
    "elic": Share((0.013, 0.0067, 0.0483), 115, 50, 8e-4, grouped=True),
    "cheng": Share((0.013,), 45, 45, 8e-4),
    "mbt": Share((0.013, 0.0067, 0.0483), 55, 28, 1e-3),
    "bmshj": Share((0.013, 0.0067, 0.025, 0.0483), 35, 17, 1e-3),
    "rsllic": Share((0.013,), 0, 45, 1e-3, grouped=True, teacher="elic"),
    "cosmic": Share((0.013,), 0, 30, 1e-3, grouped=True, teacher="elic"),
}
