"""Streams of random numbers, told apart by what they are for and never by who asks first.

A stream is derived from the run's seed, its purpose and where it is drawn (satellite, round, and whatever
else tells draws apart), so the same seed gives the same numbers for any number of processes, in any order.
"""

from __future__ import annotations

import numpy as np


def stream(*key: int) -> np.random.Generator:
    """A Philox generator of its own for these whole numbers (0 and more): purpose, seed, satellite, round.

    The order of the numbers matters: `stream(purpose, seed, 1, 2)` and `stream(purpose, seed, 2, 1)` have
    nothing to do with each other. A purpose is a number that no other module uses, written where it is drawn.
    """
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
