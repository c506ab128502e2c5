"""What a halo buys in the end: against coding without one, and what g_s must be given around a patch.

A patch encoded alone carries the mark of its own padding in its outer latents, and g_s undoes it. Latents cut
out of a halo carry no such mark, so the ground gives g_s a ring around them (ground.mosaic). Two tables:
bytes and quality of DLRC with a halo against *independent coding without* one, on the same windows; and the
PSNR of DLRC's images when g_s is given nothing, the outermost vectors repeated, what the ground gives, and,
as a bound, the true surroundings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from codec.models.model import LATENT_STRIDE_PX
from codec.surroundings import RING
from dlrc.local import fly, sides_of
from dlrc.studies.common.sights import Sights
from dlrc.studies.common.statistics import Estimate, bootstrap
from dlrc.studies.paper.rd_rounds import Configuration, Row, board_of
from ground.metrics import psnr_db
from ground.reconstructor import synthesise
from nodes.encoder import analyse
from nodes.process.board import Board

WAYS = ("nothing", "edge repeated", "the ground's ring", "true surroundings")


@dataclass(frozen=True)
class AgainstPlain:
    """With halo and DLRC against neither, in percent and dB; `alone`: with the halo alone, without DLRC."""

    windows: int
    y_saved: Estimate
    total_saved: Estimate
    d_psnr: Estimate
    d_ms_ssim: Estimate
    alone_saved: Estimate
    alone_d_psnr: Estimate


def against_plain(rows: Mapping[Configuration, Sequence[Row]]) -> dict[Configuration, AgainstPlain]:
    """For every configuration with a halo whose twin without one was flown as well, on the windows that both
    have."""
    found = {}
    for configuration, wide in rows.items():
        plain = {(r.round, r.satellite): r for r in rows.get(replace(configuration, halo_px=0), ())}
        pairs = [(w, plain[w.round, w.satellite]) for w in wide if (w.round, w.satellite) in plain]
        if configuration.halo_px and pairs:
            found[configuration] = _compare(pairs)
    return found


def _compare(pairs: Sequence[tuple[Row, Row]]) -> AgainstPlain:
    rounds, index = np.unique([w.round for w, _ in pairs], return_inverse=True)

    def per_window(value) -> np.ndarray:
        return np.bincount(index, weights=[value(w, p) for w, p in pairs], minlength=len(rounds))

    def saved(after, before) -> Estimate:
        return bootstrap((per_window(after), per_window(before)), lambda d, i: 100 * (1 - d / i))

    def mean(value) -> Estimate:
        """Over the patches that show anything but hidden cells."""
        total = per_window(lambda w, p: value(w, p) if w.pixels else 0)
        return bootstrap((total, per_window(lambda w, p: w.pixels > 0)), lambda total, count: total / count)

    def before(_: Row, plain: Row) -> float:
        return plain.y_i + plain.z_i + plain.header_i

    return AgainstPlain(
        len(rounds),
        saved(lambda w, p: w.y_d, lambda w, p: p.y_i),
        saved(lambda w, p: w.y_d + w.z_d + w.map_d + w.header_d, before),
        mean(lambda w, p: w.psnr_d - p.psnr_i),
        mean(lambda w, p: w.ms_ssim_d - p.ms_ssim_i),
        saved(lambda w, p: w.y_i + w.z_i + w.header_i, before),
        mean(lambda w, p: w.psnr_i - p.psnr_i),
    )


HALO_FIELDS = [
    "model",
    "lambda",
    "density",
    "halo_px",
    *(
        name + end
        for name in ("y_saved", "total_saved", "d_psnr", "d_ms_ssim", "alone_saved", "alone_d_psnr")
        for end in ("", "_low", "_high")
    ),
]


def halo_rows(found: Mapping[Configuration, AgainstPlain]) -> list[list]:
    """`halo.csv`."""
    return [
        [
            c.model,
            f"{c.lambda_:g}",
            c.density,
            str(c.halo_px),
            *(
                f"{v:.6g}"
                for e in (a.y_saved, a.total_saved, a.d_psnr, a.d_ms_ssim, a.alone_saved, a.alone_d_psnr)
                for v in (e.value, e.low, e.high)
            ),
        ]
        for c, a in found.items()
    ]


def against_plain_table(found: Mapping[Configuration, AgainstPlain]) -> list[str]:
    """Markdown."""
    head = [
        "model",
        "lambda",
        "overlap",
        "halo, px",
        "windows",
        "y-bits saved, %",
        "all bits saved, %",
        "dPSNR, dB",
        "dMS-SSIM",
        "halo without DLRC: all bits saved, %",
        "its dPSNR, dB",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return lines + [
        "| "
        + " | ".join(
            [
                c.model,
                f"{c.lambda_:g}",
                c.density,
                str(c.halo_px),
                str(a.windows),
                a.y_saved.text(1),
                a.total_saved.text(1),
                a.d_psnr.text(3, sign=True),
                a.d_ms_ssim.text(5, sign=True),
                a.alone_saved.text(1, sign=True),
                a.alone_d_psnr.text(3, sign=True),
            ]
        )
        + " |"
        for c, a in found.items()
    ]


@dataclass(frozen=True)
class RingGain:
    """Mean PSNR, dB, of DLRC's images by what surrounds the latents (WAYS), and of independent coding without
    a halo, on the same patches."""

    patches: int
    without_halo: float
    ways: tuple[float, ...]


def ring_gain(configuration: Configuration, overrides: Sequence[str], windows: int) -> RingGain:
    """Over all satellites of the first `windows` windows that see anything but hidden cells."""
    scenario = configuration.scenario(overrides)
    board = board_of(scenario.codec)
    sights = Sights(scenario.scene, scenario.capture, scenario.seed)
    sides, model, plain, ways = sides_of(scenario, board), board.model, [], []
    for number in range(windows):
        landed = fly(sides, number).landed
        for (satellite, _), own in landed.decoded.latents.items():
            image, valid = landed.arrived.witness[satellite].original, landed.arrived.witness[satellite].valid
            if valid is not None and not valid.any():
                continue
            repeated = np.pad(own, ((0, 0), (RING, RING), (RING, RING)), mode="edge")
            images = (
                synthesise(model, own, 0),
                synthesise(model, repeated, RING),
                landed.images[satellite],
                synthesise(model, _true_surroundings(board, sights, (satellite, number)), RING),
            )
            ways.append([psnr_db(image, one, valid) for one in images])
            plain.append(psnr_db(image, synthesise(model, np.rint(analyse(board, image, 0)), 0), valid))
    if not plain:
        return RingGain(0, np.nan, (np.nan,) * len(WAYS))
    return RingGain(len(plain), float(np.mean(plain)), tuple(np.mean(ways, axis=0).tolist()))


def _true_surroundings(board: Board, sights: Sights, source: tuple[int, int]) -> np.ndarray:
    """Latents of a patch and the ring around it, as seen. source: satellite and round."""
    satellite, number = source
    halo_px = sights.captured.halo_px
    view, _ = sights.under(halo_px=halo_px + RING * LATENT_STRIDE_PX).look(number, satellite)
    return np.rint(analyse(board, view.padded, halo_px))


def ring_table(gains: Mapping[Configuration, RingGain]) -> list[str]:
    """Markdown."""
    lines = [
        "| model | overlap | halo, px | patches | PSNR without halo | "
        + " | ".join(f"halo: {way}" for way in WAYS)
        + " |",
        "|" + " --- |" * (5 + len(WAYS)),
    ]
    return lines + [
        f"| {c.model} | {c.density} | {c.halo_px} | {gain.patches} | {gain.without_halo:.2f} | "
        + " | ".join(f"{v:.2f}" for v in gain.ways)
        + " |"
        for c, gain in gains.items()
    ]
