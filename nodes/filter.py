"""Filter (paper section 3.4): which vectors remain to be coded, and the known context they are coded
in (docs/why_streams_decode.md).

The Filter keeps the vectors whose signatures this satellite owns. What the decoder will know about the other
positions while it decodes them is fixed here: own vectors at kept positions, the representative's at local
copies, the owner's (which is the own) at exact remote copies, and a zero fill elsewhere."""

from __future__ import annotations

import numpy as np

from codec.maps.assignment import KEPT, AssignmentMap


def kept_positions(assignment: AssignmentMap) -> np.ndarray:
    """Positions that this satellite codes, bool [H, W]."""
    return assignment.fate == KEPT
