"""Real multi-view and multi-date pairs: two satellites capture picture A and picture B of one window (part of
`dlrc study robustness`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codec.imagery.scene import open_scene
from codec.models.model import LATENT_STRIDE_PX
from constellation.common.errors import UserError
from constellation.common.files import write_records
from constellation.common.progress import watched
from constellation.scenario.imaging import SceneKnobs
from constellation.scenario.load import changed
from constellation.scenario.scenario import Scenario
from dlrc.studies.common.registration import overlap_at, register, registered_rasters
from dlrc.studies.common.terms import METHODS
from dlrc.studies.common.variants import fly, see
from ground.metrics import psnr_db
from nodes.capture import Capture
from nodes.crew import Board
from nodes.recognizer import content_hashes, hash_family, signatures

SUFFIXES = (".png", ".tif", ".tiff", ".webp", ".jpg", ".jpeg")
KS = (8, 20)
COMMON = 0.3  # correlation from which on two pictures show common ground


@dataclass(frozen=True)
class Pair:
    """Two pictures of about the same ground; `group` names the collection."""

    group: str
    first: Path
    second: Path


def pairs_of(folder: Path) -> list[Pair]:
    """Per sub-folder: `*_A.*` with `*_B.*` where there are such, else each picture with the next by name.
    Raises `UserError`."""
    if not folder.is_dir():
        raise UserError(f"pairs={folder}: no such folder")
    pairs: list[Pair] = []
    for group in sorted(path for path in folder.iterdir() if path.is_dir()):
        pictures = sorted(path for path in group.iterdir() if path.suffix.lower() in SUFFIXES)
        marked = [(a, a.with_name(a.stem[:-2] + "_B" + a.suffix)) for a in pictures if a.stem.endswith("_A")]
        plain = [] if marked else list(zip(pictures, pictures[1:], strict=False))
        pairs += [Pair(group.name, a, b) for a, b in marked or plain if b.is_file()]
    if not pairs:
        raise UserError(
            f"pairs={folder}: expected sub-folders with pictures *_A and *_B, or series of pictures"
        )
    return pairs


def look_at(pair: Pair):
    """Satellite 0 sees the first picture, satellite 1 the second, both the same ground: a patch somewhere in
    what the pictures share.

    Pictures that are not registered (`registered`) are displaced by whole pixels to fit
    (dlrc.studies.common.registration); perspective stays. Raises `UserError` where no common ground is found.
    """
    scenes = [open_scene(SceneKnobs(path=str(path)), 0, 0, 1) for path in (pair.first, pair.second)]
    pictures = [scene.read(0, 0, scene.height, scene.width) for scene in scenes]
    grey = [picture.astype(np.float32).mean(axis=2) for picture in pictures]
    found = overlap_at(*grey, 0, 0) if registered(pair) else register(*grey)
    if not registered(pair) and found.correlation < COMMON:
        raise UserError(
            f"{pair.first.name} and {pair.second.name}: no common ground (correlation {found.correlation:.2f} at best)"
        )

    def look(scenario: Scenario, round_number: int, satellite: int) -> tuple[Capture, str]:
        size = scenario.capture.patch_px
        if min(found.height, found.width) < size:
            raise UserError(
                f"{pair.first.name} and {pair.second.name}: {found.height} x {found.width} px in common, patches have {size}"
            )
        places = np.random.Generator(
            np.random.Philox(np.random.SeedSequence([0xBA1F, scenario.seed, round_number]))
        )
        row, col = (
            found.top + int(places.integers(found.height - size + 1)),
            found.left + int(places.integers(found.width - size + 1)),
        )
        if satellite == 0:
            row, col = row + found.rows, col + found.cols
        image = np.ascontiguousarray(pictures[satellite][row : row + size, col : col + size])
        return _view(image, satellite, round_number, row, col), scenes[satellite].name

    return look


def registered(pair: Pair) -> bool:
    """Whether the files say that their pixels show the same ground: by name (`_A`, `_B`) or by
    georeference."""
    return pair.first.stem.endswith("_A") or registered_rasters(pair.first, pair.second)


def _view(image: np.ndarray, satellite: int, round_number: int, row: int, col: int) -> Capture:
    side = image.shape[0] // LATENT_STRIDE_PX
    cells = np.arange(side**2, dtype=np.int64).reshape(
        side, side
    )  # the footprint rule is told that both see the same ground
    return Capture(
        satellite=satellite,
        round=round_number,
        image=image,
        padded=image,
        row=0,
        col=0,
        window_row=row,
        window_col=col,
        footprint=cells,
        shift_px=(0.0, 0.0),
        rotation_deg=0.0,
        gain=1.0,
        cloud_share=0.0,
    )


def pair_rows(scenario: Scenario, board: Board, pairs: Sequence[Pair], path: Path) -> list[dict]:
    """One row per pair and method; the CSV grows as they come."""
    patch = scenario.capture.patch_px
    two = changed(scenario, satellites=2, capture={"window_px": patch, "halo_px": 0})
    rows: list[dict] = []
    for number, pair in enumerate(watched(pairs, "pairs")):
        try:
            views = see(two, board, number, look_at(pair))
        except UserError as error:
            print(f"left out: {error}")
            continue
        raw_db = psnr_db(views[0].look.image, views[1].look.image)
        equal = equal_shares(two, board.model.m, [view.y for view in views])
        for method, knobs in METHODS.items():
            flown = fly(changed(two, dlrc=knobs), board, number, views)
            alone = np.array([psnr_db(view.look.image, view.alone_image, view.look.valid) for view in views])
            change = np.array(flown.psnr_db) - alone
            rows.append(
                {
                    "group": pair.group,
                    "pair": pair.first.stem,
                    "method": method,
                    "psnr_between_pictures_db": raw_db,
                    **equal,
                    "alone_total_bytes": sum(len(v.alone) for v in views),
                    "total_bytes": sum(flown.total_bytes),
                    "remote_share": float(flown.remote_share * 2),
                    "psnr_alone_db": float(alone.mean()),
                    "dpsnr_second_db": float(change[1]),
                }
            )
        write_records(path, rows)
    return rows


def equal_shares(scenario: Scenario, channels: int, latents: Sequence[np.ndarray]) -> dict[str, float]:
    """Share of positions of the second view whose signature equals that of the first view at the same
    position, per k and by content, and (`anywhere`) that of any of its positions."""
    out = {}
    for k in (*KS, 0):
        family = hash_family(scenario.seed, channels, k or 1, scenario.dlrc.rotation, scenario.dlrc.magnitude)
        a, b = (signatures(y, family) if k else content_hashes(np.rint(y).astype(np.int32)) for y in latents)
        name = f"k{k}" if k else "content"
        out[f"equal_{name}"], out[f"anywhere_{name}"] = float((a == b).mean()), float(np.isin(b, a).mean())
    return out


def pair_table(rows: Sequence[dict]) -> str:
    """Markdown: a line per group."""
    lines = [
        "| pairs | n | PSNR of B against A, dB | equal signatures %, k = 8 / 20 / content | anywhere in A %, k = 8 / 20 / content | "
        "saved %: lsh / content / footprint | dPSNR of B, dB: lsh / content / footprint |",
        "|---|---|---|---|---|---|---|",
    ]
    for group in dict.fromkeys(row["group"] for row in rows):
        mine = {
            m: [r for r in rows if r["group"] == group and r["method"] == m]
            for m in ("lsh", "content", "footprint")
        }
        first = mine["lsh"]
        shares = [
            " / ".join(
                f"{100 * np.mean([r[f'{kind}_{k}'] for r in first]):.1f}" for k in ("k8", "k20", "content")
            )
            for kind in ("equal", "anywhere")
        ]
        saved = " / ".join(
            f"{100 - 100 * sum(r['total_bytes'] for r in r_) / sum(r['alone_total_bytes'] for r in r_):.1f}"
            for r_ in mine.values()
        )
        change = " / ".join(f"{np.mean([r['dpsnr_second_db'] for r in r_]):+.2f}" for r_ in mine.values())
        between = np.mean([r["psnr_between_pictures_db"] for r in first])
        lines.append(
            f"| {group} | {len(first)} | {between:.1f} | {shares[0]} | {shares[1]} | {saved} | {change} |"
        )
    return "\n".join(lines)
