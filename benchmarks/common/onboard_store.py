"""What `dlrc bench onboard out=FOLDER` has measured, kept after every row: the same command goes on after
whatever ended it, and `draw=true` prints and draws without measuring."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_text

NAME = "onboard.json"
TEXTS = ("model", "widths", "weights", "label")
NUMBERS = (
    "size_px", "g_a_kmac", "hyperprior_kmac", "context_kmac", "on_board_kmac", "g_a_parameters",
    "on_board_parameters", "g_a_ms", "hyperprior_ms", "hash_ms", "arbitrate_ms", "entropy_ms", "on_board_ms",
    "dlrc_ms", "dlrc_share_pct", "prediction_ms", "peak_mib",
)  # fmt: skip
Row = dict[str, Any]
Figures = dict[str, float]


@dataclass
class Store:
    """Rows and figures of quality, and under which circumstances all of them were measured.

    folder: None where nothing is kept. rows: one a codec, widths and size. quality: by codec, of `patches`,
    the digest of held-out patches. board: of a user's, as last told."""

    folder: Path | None
    made: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    quality: dict[str, Figures] = field(default_factory=dict)
    patches: str = ""
    board: dict[str, Any] | None = None

    @classmethod
    def at(cls, out: str, made: Mapping[str, Any]) -> Store:
        """What `out` holds, to go on with. Raises `UserError` where it was measured otherwise."""
        store = cls(make_folder(Path(out), "out") if out else None, dict(made))
        held = store._held()
        for key, now in store.made.items() if held else ():
            if held["made"].get(key) != now:
                raise UserError(
                    f"out={out}: {NAME} was measured with {key}={held['made'].get(key)}, this is "
                    f"{key}={now}; take another folder"
                )
        store._take(held)
        return store

    @classmethod
    def of(cls, out: str) -> Store:
        """What `out` holds, to be told and drawn. Raises `UserError` where it holds nothing."""
        store = cls(Path(out), {})
        held = store._held()
        if not held.get("rows"):
            raise UserError(f"out={out}: no {NAME} with rows in it; measure some without draw=true")
        store.made = held["made"]
        store._take(held)
        return store

    def row(self, **key: Any) -> Row | None:
        """The row that was measured of that codec, its widths, its size and its weights."""
        return next((row for row in self.rows if key.items() <= row.items()), None)

    def add(self, row: Row) -> None:
        """Keep a row, in the place of an older one of the same codec, widths and size."""
        same = ("model", "widths", "size_px")
        self.rows = [one for one in self.rows if any(one[key] != row[key] for key in same)] + [row]
        self.write()

    def judge(self, patches: str, found: Mapping[str, Figures]) -> None:
        """Keep figures of quality; those of other patches go."""
        kept = self.quality if patches == self.patches else {}
        self.quality, self.patches = {**kept, **found}, patches
        self.write()

    def write(self) -> None:
        """All of it, or the file stays as it was. Raises `UserError`."""
        if self.folder is not None:
            keys = ("made", "rows", "quality", "patches", "board")
            text = json.dumps({key: getattr(self, key) for key in keys}, indent=1)
            write_text(self.folder / NAME, text + "\n")

    def _held(self) -> dict[str, Any]:
        path = None if self.folder is None else self.folder / NAME
        if path is None or not path.exists():
            return {}
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            _ = [row[key] + 0.0 for row in held["rows"] for key in NUMBERS]
            _ = [row[key] + "" for row in held["rows"] for key in TEXTS]
            _ = [one[key] + 0.0 for one in held["quality"].values() for key in ("loss", "bpp", "psnr_db")]
            _ = [one.get("on_board_ms", 0.0) + 0.0 for one in held["quality"].values()]
            _ = held["made"]["machine"] + held["patches"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UserError(f"out={self.folder}: {NAME} is not one of this benchmark; take it away") from None
        return held

    def _take(self, held: Mapping[str, Any]) -> None:
        for key in ("rows", "quality", "patches", "board"):
            setattr(self, key, held.get(key) or getattr(self, key))


def machine() -> str:
    """The processor's name, as far as anybody says."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def with_joules(rows: Iterable[Row], watts: float) -> list[Row]:
    """The rows, and what their milliseconds cost at that power, by size, widths and codec as they came."""
    return [{**row, "joules": 1e-3 * row["on_board_ms"] * watts} for row in rows]


def sizes_of(rows: Sequence[Row]) -> list[int]:
    """Sides of the patches that were measured, ascending."""
    return sorted({row["size_px"] for row in rows})
