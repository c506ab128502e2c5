"""Values between modules cannot be changed by who receives them."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from constellation.common.frozen import value


@value
class Look:
    """Fields of every kind that values have."""

    image: np.ndarray
    parts: tuple[np.ndarray, ...] = ()
    by: dict | None = None
    number: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "number", self.number + 1)


def test_arrays_wherever_they_lie_are_read_only():
    look = Look(np.zeros(3), (np.zeros(2),), {4: np.zeros(1)})
    for array in (look.image, look.parts[0], look.by[4]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(TypeError):
        look.by[5] = 1
    with pytest.raises(FrozenInstanceError):
        look.number = 3


def test_nothing_is_copied_and_the_makers_array_stays_writable():
    mine = np.zeros(3)
    look = Look(mine)
    mine[0] = 1
    assert look.image[0] == 1 and np.shares_memory(mine, look.image)


def test_values_are_keys_by_identity_and_their_own_checks_still_run():
    one, other = Look(np.zeros(3)), Look(np.zeros(3))
    assert one != other and len({one, other}) == 2 and one.number == 1
