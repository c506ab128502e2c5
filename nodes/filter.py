"""Filter (paper section 3.4): what remains to be coded, and what the decoder will know when it decodes it.

The Filter keeps the vectors whose signatures this satellite owns, and lays down the *known context* of design.md: the value every latent
position has, on both ends of the downlink, while the kept ones are coded.
"""

from __future__ import annotations

import numpy as np

from codec.assignment import KEPT, LOCAL, REMOTE, AssignmentMap


def known_context(y_hat: np.ndarray, assignment: AssignmentMap) -> np.ndarray:
    """The context map that both ends hold, int32 [C, H, W]: own vectors, zero at inexact remote copies and at local copies of them."""
    filled = inexact_cells(assignment)
    context = y_hat.copy()
    context[:, filled] = 0
    return context


def inexact_cells(assignment: AssignmentMap) -> np.ndarray:
    """Positions whose vector the sender does not know, bool [H, W]: inexact remote copies and the local copies of them."""
    inexact = (assignment.fate == REMOTE) & ~assignment.exact
    local = assignment.fate == LOCAL
    out = inexact.copy()
    out[local] = inexact.reshape(-1)[assignment.source[local]]
    return out


def kept_cells(assignment: AssignmentMap) -> np.ndarray:
    """Positions that this satellite codes, bool [H, W]."""
    return assignment.fate == KEPT
