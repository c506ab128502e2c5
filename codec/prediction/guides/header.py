"""What a guide says once: which references, where the patch lies in each, gains and offsets."""

from __future__ import annotations

import numba
import numpy as np

from codec.maps.binary_coder import CODER, code_bit, code_uniform
from codec.prediction.guides.contexts import CLASSES, CORNER, FORM, RADIO, code_number
from codec.prediction.warp import GAIN_ONE, MAX_REFERENCES


@numba.njit(f"void({CODER}, int64[::1], int64)", cache=True, nogil=True)
def code_header(model, numbers, participants):
    numbers[0] = 1 + code_uniform(model, numbers[0] - 1, min(participants, MAX_REFERENCES))
    for k in range(numbers[0]):
        part = numbers[1 + 15 * k : 16 + 15 * k]
        part[0] = code_uniform(model, part[0], participants)
        corners = part[1:9]
        still = (corners == 0).all()
        same = (corners[2:] == corners[:6]).all()
        flat = (corners[6:] == corners[2:4] + corners[4:6] - corners[:2]).all()
        if code_bit(model, FORM, np.int64(not still)):
            whole = np.int64((corners & 15).any())
            moved = code_bit(model, FORM + 1, np.int64(not same))
            if not moved:
                fine = code_bit(model, FORM + 2, whole)
                for axis in range(2):
                    step = 0 if fine else 4
                    value = code_number(model, CORNER + CLASSES * (1 - fine), corners[axis] >> step) << step
                    corners[axis::2] = value
            else:
                for axis in range(2):
                    corners[axis] = code_number(model, CORNER, corners[axis])
                free = code_bit(model, FORM + 3, np.int64(not flat))
                for c in range(1, 4):
                    for axis in range(2):
                        given = corners[axis]
                        if c == 3:
                            given = corners[2 + axis] + corners[4 + axis] - corners[axis]
                            if not free:
                                corners[6 + axis] = given
                                continue
                        base = CORNER + 2 * CLASSES + (CLASSES if c == 3 else 0)
                        corners[2 * c + axis] = given + code_number(
                            model, base, corners[2 * c + axis] - given
                        )
        else:
            corners[:] = 0
        gain, offset = np.int64(GAIN_ONE), np.int64(0)
        for c in range(3):
            base = RADIO + CLASSES * min(c, 1)
            part[9 + c] = gain = gain + code_number(model, base, part[9 + c] - gain)
            base += 2 * CLASSES
            part[12 + c] = offset = offset + code_number(model, base, part[12 + c] - offset)
