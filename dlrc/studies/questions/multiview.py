"""Real multi-view and multi-date pairs: two satellites capture picture A and picture B of one window (part of
`dlrc study robustness`).

Which of the two comes first, and so owns what both see, is `priority.rule`'s to say: the first and the second
of a pair are meant by priority, whichever picture they look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from codec.imagery.scene import open_scene
from codec.maps.assignment import REMOTE
from codec.models.model import LATENT_STRIDE_PX
from constellation.common.errors import UserError
from constellation.common.files import write_records
from constellation.common.progress import watched
from constellation.scenario.imaging import SceneKnobs
from dlrc.studies.common.registration import overlap_at, register, registered_rasters
from dlrc.studies.common.sights import Sights
from dlrc.studies.common.terms import METHODS
from dlrc.studies.common.variants import (
    Compared,
    Looks,
    Shared,
    Trial,
    Variant,
    alone_psnr_db,
    fly,
    see,
    shown,
)
from ground.metrics import psnr_db
from nodes.capture import Capture
from nodes.crew import Look, Rules
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
        plain = [] if marked else list(pairwise(pictures))
        pairs += [Pair(group.name, a, b) for a, b in marked or plain if b.is_file()]
    if not pairs:
        raise UserError(
            f"pairs={folder}: expected sub-folders with pictures *_A and *_B, or series of pictures"
        )
    return pairs


def look_at(pair: Pair) -> Looks:
    """Satellite 0 sees the first picture, satellite 1 the second, both the same ground: a patch somewhere in
    what the pictures share.

    Pictures that are not registered (`registered`) are displaced by whole pixels to fit
    (dlrc.studies.common.registration); perspective stays. Raises `UserError` where no common ground is found.
    """
    scenes = [open_scene(SceneKnobs(path=str(path)), 0, 0, 1) for path in (pair.first, pair.second)]
    pictures = [scene.read(0, 0, scene.height, scene.width) for scene in scenes]
    masks = [scene.read_valid(0, 0, scene.height, scene.width) for scene in scenes]
    grey = [_grey(picture, mask) for picture, mask in zip(pictures, masks, strict=True)]
    first, second = grey
    found = overlap_at(first, second, 0, 0) if registered(pair) else register(first, second)
    if not registered(pair) and found.correlation < COMMON:
        raise UserError(
            f"{pair.first.name} and {pair.second.name}: no common ground (correlation "
            f"{found.correlation:.2f} at best)"
        )

    def look(sights: Sights, number: int, satellite: int) -> tuple[Capture, str]:
        size = sights.captured.patch_px
        if min(found.height, found.width) < size:
            raise UserError(
                f"{pair.first.name} and {pair.second.name}: {found.height} x {found.width} px in common, "
                f"patches have {size}"
            )
        places = np.random.Generator(np.random.Philox(np.random.SeedSequence([0xBA1F, sights.seed, number])))
        row, col = (
            found.top + int(places.integers(found.height - size + 1)),
            found.left + int(places.integers(found.width - size + 1)),
        )
        if satellite == 0:
            row, col = row + found.rows, col + found.cols
        cut = slice(row, row + size), slice(col, col + size)
        patch = np.ascontiguousarray(pictures[satellite][cut]), np.ascontiguousarray(masks[satellite][cut])
        return _view(patch, (satellite, number), (row, col)), scenes[satellite].name

    return look


def registered(pair: Pair) -> bool:
    """Whether the files say that their pixels show the same ground: by name (`_A`, `_B`) or by
    georeference."""
    return pair.first.stem.endswith("_A") or registered_rasters(pair.first, pair.second)


def _grey(picture: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """float32 [H, W]; hidden cells are as bright as the rest on average, so that they correlate with
    nothing."""
    grey = picture.astype(np.float32).mean(axis=2)
    if valid.any() and not valid.all():
        grey[~valid] = grey[valid].mean()
    return grey


def _view(patch: tuple[np.ndarray, np.ndarray], source: tuple[int, int], corner: tuple[int, int]) -> Capture:
    """patch: pixels, and which of them show anything. source: satellite and round. corner: (row, col) in the
    picture, px."""
    (image, valid), (satellite, number), (row, col) = patch, source, corner
    side = image.shape[0] // LATENT_STRIDE_PX
    # the footprint rule is told that both see the same ground
    cells = np.arange(side**2, dtype=np.int64).reshape(side, side)
    return Capture(
        satellite=satellite,
        round=number,
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
        valid=None if valid.all() else valid,
    )


def pair_rows(trial: Trial, pairs: Sequence[Pair], path: Path) -> list[dict]:
    """One row per pair and method; the CSV grows as they come."""
    patch_px = trial.sights.captured.patch_px
    two = trial.under(satellites=2, capture={"window_px": patch_px, "halo_px": 0})
    rows: list[dict] = []
    for number, pair in enumerate(watched(pairs, "pairs")):
        try:
            views = see(two, number, look_at(pair))
        except UserError as error:
            print(f"left out: {error}")
            continue
        if not shown(views, number):
            continue
        raw_db = psnr_between_db(*(view.look for view in views))
        flown = {method: fly(two.under(dlrc=knobs), number, views) for method, knobs in METHODS.items()}
        first, second = next(iter(flown.values())).order  # the same for all: the order looks at no signature
        equal = equal_shares(two.rules, views[first].y, views[second].y)
        for method, variant in flown.items():
            rows.append(
                {
                    "group": pair.group,
                    "pair": pair.first.stem,
                    "method": method,
                    "psnr_between_pictures_db": raw_db,
                    **equal,
                    **outcome(views, variant),
                }
            )
        write_records(path, rows)
    return rows


def outcome(views: Sequence[Shared], flown: Variant) -> dict[str, float]:
    """Bytes and quality of a pair. remote_share: copies of both, per position of one (only one has any, but
    under a rule that shares out owners). dpsnr_copied_db: mean change of the views that hold copies; of the
    second where none does."""
    copied = [n for n, found in enumerate(flown.assignments) if (found.fate == REMOTE).any()]
    change = np.array(flown.psnr_db) - [alone_psnr_db(view) for view in views]
    return {
        "alone_total_bytes": sum(len(view.alone) for view in views),
        "total_bytes": sum(flown.total_bytes),
        "remote_share": float(flown.remote_share * len(views)),
        "psnr_alone_db": float(Compared.of(views, flown).alone.mean()),
        "dpsnr_copied_db": float(change[copied or [flown.order[-1]]].mean()),
    }


def psnr_between_db(first: Look, second: Look) -> float:
    """PSNR of one capture against the other, over the pixels that both show; NaN where there is none."""
    masks = [look.valid for look in (first, second) if look.valid is not None]
    return psnr_db(first.image, second.image, np.logical_and.reduce(masks) if masks else None)


def equal_shares(rules: Rules, first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Share of positions of the second view's y [M, H, W] whose signature equals that of the first view at
    the same position, per k and by content, and (`anywhere`) that of any of its positions."""
    out, dlrc, latents = {}, rules.dlrc, (first, second)
    for k in (*KS, 0):
        family = hash_family(rules.seed, len(first), k or 1, dlrc.rotation, dlrc.magnitude)
        a, b = (signatures(y, family) if k else content_hashes(np.rint(y).astype(np.int32)) for y in latents)
        name = f"k{k}" if k else "content"
        out[f"equal_{name}"], out[f"anywhere_{name}"] = float((a == b).mean()), float(np.isin(b, a).mean())
    return out


def pair_table(rows: Sequence[dict]) -> str:
    """Markdown: a line per group."""
    lines = [
        "| pairs | n | PSNR between the pictures, dB | equal signatures %, k = 8 / 20 / content | "
        "of the second anywhere in the first %, k = 8 / 20 / content | saved %: lsh / content / footprint | "
        "dPSNR of the one that copies, dB: lsh / content / footprint |",
        "|---|---|---|---|---|---|---|",
    ]
    for group in dict.fromkeys(row["group"] for row in rows):
        mine = {m: [r for r in rows if r["group"] == group and r["method"] == m] for m in METHODS}
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
        change = " / ".join(f"{np.mean([r['dpsnr_copied_db'] for r in r_]):+.2f}" for r_ in mine.values())
        between = np.nanmean([r["psnr_between_pictures_db"] for r in first])
        lines.append(
            f"| {group} | {len(first)} | {between:.1f} | {shares[0]} | {shares[1]} | {saved} | {change} |"
        )
    return "\n".join(lines)
