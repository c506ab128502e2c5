"""What studies have in common on their command lines: which knobs matter to them, and what they refuse."""

from __future__ import annotations

from constellation.common.errors import UserError
from constellation.common.text import counted
from constellation.scenario.coding import CodecKnobs
from constellation.scenario.imaging import SceneKnobs

STATION = tuple(
    f"ground.{key}"
    for key in ("name", "latitude_deg", "longitude_deg", "elevation_m", "min_elevation_deg", "downlink")
)
NETWORK = ("name", "seed", "satellites", "output", "orbit", "link", "topology", "sync", "region")
FLOWN = (*NETWORK, *STATION, "energy", "scene", "capture", "codec", "dlrc", "priority")
"""Of studies that fly whole rounds, whose streams all arrive."""
METHODS = {
    "lsh": {"signature": "lsh", "dedup": "signature"},
    "content": {"signature": "content", "dedup": "signature"},
    "footprint": {"dedup": "footprint"},
}
"""Ways to find what several satellites hold, as knobs of dlrc."""


def refuse_estimates(codec: CodecKnobs) -> None:
    """Raises `UserError` for `codec.context=open`, whose bytes are an estimate, where every stream must be
    what it says."""
    if codec.context == "open":
        raise UserError(
            "codec.context=open: this study counts bytes of real streams; `dlrc study context` sets the "
            "open-loop estimate beside them"
        )


def surveyed(scene: SceneKnobs, windows: int) -> str:
    """What a study looked at, for titles: "5 windows, real scenes"."""
    where = "real scenes" if scene.path else "BUILT-IN PROCEDURAL SCENE"
    return f"{counted(windows, 'window')}, {where}"
