"""Figures on disk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from constellation.common.files import replacing


def save(figure: Any, path: Path, dpi: int = 110) -> None:
    """Write a figure, the whole file or none, and let go of it. Raises `UserError` where the disk refuses."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi)
    if "matplotlib.pyplot" in sys.modules:  # which keeps its figures until told
        sys.modules["matplotlib.pyplot"].close(figure)
