"""Real multi-view and multi-date pairs: two satellites capture picture A and picture B of one window (part of `studies.robustness`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from constellation.errors import UserError
from constellation.scenario import SceneKnobs, Scenario
from ground.metrics import psnr_db
from nodes.capture import Capture, capture
from nodes.coding import Board
from nodes.recognizer import content_hashes, hash_family, signatures
from nodes.scene import open_scene
from studies.flights import fly, see, with_knobs

SUFFIXES = (".png", ".tif", ".tiff", ".webp", ".jpg", ".jpeg")
KS = (8, 20)


@dataclass(frozen=True)
class Pair:
    """Two pictures of about the same ground; `group` names the collection."""

    group: str
    first: Path
    second: Path


def pairs_of(folder: Path) -> list[Pair]:
    """Per sub-folder: `*_A.*` with `*_B.*` where there are such, else each picture with the next by name. Raises `UserError`."""
    if not folder.is_dir():
        raise UserError(f"pairs={folder}: no such folder")
    pairs: list[Pair] = []
    for group in sorted(path for path in folder.iterdir() if path.is_dir()):
        pictures = sorted(path for path in group.iterdir() if path.suffix.lower() in SUFFIXES)
        marked = [(a, a.with_name(a.stem[:-2] + "_B" + a.suffix)) for a in pictures if a.stem.endswith("_A")]
        plain = [] if marked else list(zip(pictures, pictures[1:], strict=False))
        pairs += [Pair(group.name, a, b) for a, b in marked or plain if b.is_file()]
    if not pairs:
        raise UserError(f"pairs={folder}: expected sub-folders with pictures *_A and *_B, or series of pictures")
    return pairs


def look_at(pair: Pair):
    """Satellite 0 sees the first picture, satellite 1 the second, at the same pixels (both cropped to what they share)."""

    def look(scenario: Scenario, round_number: int, satellite: int) -> tuple[Capture, str]:
        paths = pair.first, pair.second
        scenes = [open_scene(SceneKnobs(path=str(path)), scenario.seed, round_number, scenario.capture.window_px) for path in paths]
        smaller = min(scenes, key=lambda scene: scene.height * scene.width)
        frame = capture(smaller, scenario.capture, scenario.seed, round_number, 0)
        own = scenes[satellite]
        if (own.height, own.width) == (smaller.height, smaller.width):
            return capture(own, scenario.capture, scenario.seed, round_number, satellite), own.name
        return _crop(own, frame, satellite), own.name

    return look


def _crop(scene, frame: Capture, satellite: int) -> Capture:
    from dataclasses import replace

    size = frame.image.shape[0]
    row = min(frame.window_row, scene.height - size)
    col = min(frame.window_col, scene.width - size)
    image = np.ascontiguousarray(scene.read(row, col, size, size))
    return replace(frame, satellite=satellite, image=image, padded=image)


def pair_rows(scenario: Scenario, board: Board, pairs: Sequence[Pair], path: Path) -> list[dict]:
    """One row per pair and method; the CSV grows as they come."""
    from studies.robustness import METHODS, write_rows

    patch = scenario.capture.patch_px
    two = with_knobs(scenario.model_copy(update={"satellites": 2}), capture={"window_px": patch, "halo_px": 0})
    rows: list[dict] = []
    for number, pair in enumerate(pairs):
        try:
            views = see(two, board, number, look_at(pair))
        except UserError as error:
            print(f"left out: {error}")
            continue
        raw_db = psnr_db(views[0].capture.image, views[1].capture.image)
        equal = equal_shares(two, board.coder.model.m, [view.y for view in views])
        for method, knobs in METHODS.items():
            flown = fly(with_knobs(two, dlrc=knobs), board, number, views)
            alone = np.array([psnr_db(view.capture.image, view.alone_image) for view in views])
            change = np.array(flown.psnr_db) - alone
            rows.append({"group": pair.group, "pair": pair.first.stem, "method": method, "psnr_between_pictures_db": raw_db, **equal,
                         "alone_total_bytes": sum(len(v.alone) for v in views), "total_bytes": sum(flown.total_bytes),
                         "remote_share": float(flown.remote_share * 2), "psnr_alone_db": float(alone.mean()), "dpsnr_second_db": float(change[1])})
        write_rows(path, rows)
    return rows


def equal_shares(scenario: Scenario, channels: int, latents: Sequence[np.ndarray]) -> dict[str, float]:
    """Share of positions of the second view whose signature equals that of the first view at the same position, per k and by content, and
    (`anywhere`) that of any of its positions."""
    out = {}
    for k in (*KS, 0):
        family = hash_family(scenario.seed, channels, k or 1, scenario.dlrc.rotation, scenario.dlrc.magnitude)
        a, b = (signatures(y, family) if k else content_hashes(np.rint(y).astype(np.int32)) for y in latents)
        name = f"k{k}" if k else "content"
        out[f"equal_{name}"], out[f"anywhere_{name}"] = float((a == b).mean()), float(np.isin(b, a).mean())
    return out


def pair_table(rows: Sequence[dict]) -> str:
    """Markdown: a line per group."""
    lines = ["| pairs | n | PSNR of B against A, dB | equal signatures %, k = 8 / 20 / content | anywhere in A %, k = 8 / 20 / content | "
             "saved %: lsh / content / footprint | dPSNR of B, dB: lsh / content / footprint |", "|---|---|---|---|---|---|---|"]
    for group in dict.fromkeys(row["group"] for row in rows):
        mine = {m: [r for r in rows if r["group"] == group and r["method"] == m] for m in ("lsh", "content", "footprint")}
        first = mine["lsh"]
        shares = [" / ".join(f"{100 * np.mean([r[f'{kind}_{k}'] for r in first]):.1f}" for k in ("k8", "k20", "content")) for kind in ("equal", "anywhere")]
        saved = " / ".join(f"{100 - 100 * sum(r['total_bytes'] for r in r_) / sum(r['alone_total_bytes'] for r in r_):.1f}" for r_ in mine.values())
        change = " / ".join(f"{np.mean([r['dpsnr_second_db'] for r in r_]):+.2f}" for r_ in mine.values())
        between = np.mean([r["psnr_between_pictures_db"] for r in first])
        lines.append(f"| {group} | {len(first)} | {between:.1f} | {shares[0]} | {shares[1]} | {saved} | {change} |")
    return "\n".join(lines)
