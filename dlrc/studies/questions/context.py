"""What exactness costs: real decodable bytes against the paper's open-loop estimate, per model; fixed against
centred grid; lsh against content.

Per model and halo, on the same captures and weights, bits of y saved by DLRC against independent coding:
  exact, independent   real streams, decoded by the ground, with lsh signatures; exact also with content
  open                 the paper's estimate: kept vectors in their complete context. No decoder can read it
  open, centred        the same on CompressAI's grid round(y - mu) + mu, as printed in the paper. An ESTIMATE
  filled, centred      centred grid, real streams, remote copies filled: the only way that grid decodes
The centred grid's own rate and PSNR (without DLRC) stand beside the fixed grid's. Writes
runs/context-<digest>/: context.csv, context.png."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from codec.maps.assignment import KEPT
from codec.models import registry
from codec.models.model import LATENT_STRIDE_PX
from codec.surroundings import RING
from constellation.common.cli import Command, Given, main_of
from constellation.common.files import make_folder, write_records
from constellation.common.knobs import Knobs, Several, Word
from constellation.common.progress import watched
from constellation.scenario.coding import CodecKnobs
from constellation.scenario.load import SCENARIO, changed
from dlrc.commands.models import known_models
from dlrc.studies.common.figures import save
from dlrc.studies.common.terms import FLOWN, surveyed
from dlrc.studies.common.variants import Compared, Shared, Trial, Variant, alone_psnr_db, fly, see, shown
from ground.metrics import psnr_db
from ground.mosaic import mosaics
from ground.reconstructor import synthesise
from nodes.crew import View
from nodes.encoder import hyper_symbols, open_loop_bits, view_of
from nodes.process.board import Board, load_board
from nodes.process.preflight import check_inputs

REAL = {
    "exact": ({}, {"signature": "lsh"}),
    "content": ({}, {"signature": "content"}),
    "independent": ({"context": "independent"}, {"signature": "lsh"}),
}


class ContextKeys(Knobs):
    """Keys of this study."""

    models: Several[Word] = registry.whole()
    """families"""
    halos: Several[Annotated[int, Field(ge=0, le=1024, multiple_of=LATENT_STRIDE_PX)]] = (0, 32)
    """surroundings in px seen beyond a patch"""
    windows: Annotated[int, Field(ge=1, le=10000)] = 3
    """rounds of every combination"""


def study(given: Given) -> None:
    """Fly and estimate every combination, print, write."""
    base, windows, halos = given.subject, given.own.windows, given.own.halos
    models = known_models(given.own.models)
    exact = {"grid": "fixed", "context": "exact"}
    check_inputs(changed(base, codec={"model": models[0], **exact}))  # before a folder is made
    folder = make_folder(Path(base.output) / f"context-{base.digest}")
    rows: list[dict] = []
    for model in models:
        scenario = changed(base, codec={"model": model, **exact})
        board = load_board(scenario.codec)
        for halo in halos:
            for window in watched(range(windows), f"{model}, halo {halo} px"):
                found = compare(Trial(changed(scenario, capture={"halo_px": halo}), board), window)
                if found:
                    rows.append({"model": model, "halo_px": halo, "window": window, **found})
                write_records(folder / "context.csv", rows)
    print(f"{base.name}, {surveyed(base.scene, windows)}\n\n{table(summarise(rows))}")
    draw(summarise(rows), folder / "context.png")
    print(f"\nwrote {folder}/ (context.csv, context.png)")


def compare(trial: Trial, window: int) -> dict:
    """All variants on one window: bits of y and of everything, quality changes of the views that show
    anything; nothing where none does."""
    board, views, centred = trial.board, see(trial, window), trial.under(codec={"grid": "centred"})
    if not shown(views, window):
        return {}
    on_centred = [view_of(board, centred.rules.codec, view.look, view.y) for view in views]
    row = {
        "alone_y_bits": 8 * sum(v.alone_y_bytes for v in views),
        "alone_bits": 8 * sum(len(v.alone) for v in views),
        "alone_psnr_db": float(np.nanmean([alone_psnr_db(view) for view in views])),
    }
    for name, (codec, dlrc) in REAL.items():
        flown = fly(trial.under(codec=codec, dlrc=dlrc), window, views)
        row |= {
            f"{name}_y_bits": 8 * sum(flown.y_bytes),
            f"{name}_bits": 8 * sum(flown.total_bytes),
            f"{name}_dpsnr_db": float(np.mean(Compared.of(views, flown).change)),
            f"{name}_failed": flown.failed,
        }
        if name == "exact":
            row |= estimates(board, (trial.rules.codec, centred.rules.codec), flown, views)
            row |= alone_centred(board, views, on_centred)
    if board.model.has_context:
        shared = [
            Shared(one, view.alone, view.alone_image) for one, view in zip(on_centred, views, strict=True)
        ]
        filled = fly(centred.under(codec={"context": "independent"}), window, shared)
        row |= {"centred_filled_y_bits": 8 * sum(filled.y_bytes), "centred_filled_failed": filled.failed}
    else:
        row |= {"centred_filled_y_bits": float("nan"), "centred_filled_failed": 0}
    return row


def estimates(
    board: Board, grids: tuple[CodecKnobs, CodecKnobs], flown: Variant, views: Sequence[Shared]
) -> dict:
    """Open-loop bits of the kept vectors and of all vectors. grids: knobs with the fixed and with the centred
    grid."""
    out: dict[str, float] = {}
    for name, codec in zip(("open", "open_centred"), grids, strict=True):
        kept_bits = alone_bits = 0.0
        for number, view in enumerate(views):
            task = flown.tasks[number]
            kept, everything = task.assignment.fate == KEPT, np.ones(task.assignment.shape, dtype=bool)
            selected = task.observation.selection.y, task.observation.selection.y_hat
            plain = view.y, np.rint(view.y).astype(np.int32)
            kept_bits += _open_loop_bits(board, codec, selected, kept)
            alone_bits += _open_loop_bits(board, codec, plain, everything)
        out |= {f"{name}_y_bits": kept_bits, f"{name}_alone_y_bits": alone_bits}
    return out


def _open_loop_bits(board: Board, codec: CodecKnobs, latents, kept: np.ndarray) -> float:
    return open_loop_bits(board, codec, hyper_symbols(board, codec, latents[0]), latents, kept)


def alone_centred(board: Board, views: Sequence[Shared], on_centred: Sequence[View]) -> dict:
    """Real bits of y and PSNR on the centred grid without DLRC; a model without context has no centred grid
    of its own (same as fixed)."""
    if not board.model.has_context:
        latents = {n: np.rint(view.y) for n, view in enumerate(views)}
        return _of_centred(8 * sum(view.alone_y_bytes for view in views), board, views, latents)
    latents = {
        n: np.asarray(one.alone.y_hat, dtype=np.float32).reshape(one.y.shape)
        for n, one in enumerate(on_centred)
    }
    return _of_centred(8 * sum(len(one.alone.y_bytes) for one in on_centred), board, views, latents)


def _of_centred(bits: int, board: Board, views: Sequence[Shared], latents: Mapping[int, np.ndarray]) -> dict:
    psnr = float(np.nanmean(centred_psnr_db(board, views, latents)))
    return {"centred_alone_y_bits": bits, "centred_alone_psnr_db": psnr}


def centred_psnr_db(board: Board, views: Sequence[Shared], latents: Mapping[int, np.ndarray]) -> list[float]:
    """Quality of the images of `latents`. With a halo they are surrounded as the fixed grid's are, on which
    patches can tell where they lie."""
    ring = RING if views[0].look.halo_px else 0
    placed = {}
    if ring:
        found = mosaics(latents, {n: np.rint(view.y) for n, view in enumerate(views)})
        placed = {n: mosaic for mosaic in found for n in mosaic.corners}
    given = [placed[n].surrounded(n) if ring else values for n, values in latents.items()]
    return [
        psnr_db(view.look.image, synthesise(board.model, values, ring), view.look.valid)
        for view, values in zip(views, given, strict=True)
    ]


def summarise(rows: Sequence[dict]) -> list[dict]:
    """Savings of y bits in percent, per model and halo; costs in points against the fixed grid's open-loop
    estimate."""
    out = []
    for model, halo in dict.fromkeys((row["model"], row["halo_px"]) for row in rows):
        mine = [row for row in rows if (row["model"], row["halo_px"]) == (model, halo)]
        total = {
            name: sum(row[name] for row in mine) for name in mine[0] if name.endswith(("bits", "failed"))
        }
        mean = {name: float(np.mean([row[name] for row in mine])) for name in mine[0] if name.endswith("db")}

        def saved(name: str, alone: str, total: dict = total) -> float:
            return 100 - 100 * total[name] / total[alone]

        one = {
            "model": model,
            "halo_px": halo,
            "windows": len(mine),
            "exact": saved("exact_y_bits", "alone_y_bits"),
            "content": saved("content_y_bits", "alone_y_bits"),
            "independent": saved("independent_y_bits", "alone_y_bits"),
            "open": saved("open_y_bits", "open_alone_y_bits"),
            "open_centred": saved("open_centred_y_bits", "open_centred_alone_y_bits"),
            "centred_filled": saved("centred_filled_y_bits", "centred_alone_y_bits"),
            "exact_all": saved("exact_bits", "alone_bits"),
            "content_all": saved("content_bits", "alone_bits"),
            "independent_all": saved("independent_bits", "alone_bits"),
            "grid_rate_pct": 100 * total["alone_y_bits"] / total["centred_alone_y_bits"] - 100,
            "grid_db": mean["alone_psnr_db"] - mean["centred_alone_psnr_db"],
            "failed": sum(value for name, value in total.items() if name.endswith("failed")),
            "exact_db": mean["exact_dpsnr_db"],
            "content_db": mean["content_dpsnr_db"],
        }
        out.append(
            one
            | {"cost_exact": one["open"] - one["exact"], "cost_independent": one["open"] - one["independent"]}
        )
    return out


def table(summary: Sequence[dict]) -> str:
    """Markdown, two tables: savings and costs; the grids without DLRC."""
    lines = [
        "| model | halo px | y saved %: exact / content / independent | open-loop ESTIMATE fixed / centred | "
        "cost of exact / independent, points | centred, filled: y saved % | "
        "all saved %: exact / content / independent | dPSNR exact / content | undecodable |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['model']} | {r['halo_px']} | {r['exact']:.1f} / {r['content']:.1f} / {r['independent']:.1f} | "
        f"{r['open']:.1f} / {r['open_centred']:.1f} | "
        f"{r['cost_exact']:+.2f} / {r['cost_independent']:+.2f} | "
        f"{'-' if np.isnan(r['centred_filled']) else format(r['centred_filled'], '.1f')} | "
        f"{r['exact_all']:.1f} / {r['content_all']:.1f} / {r['independent_all']:.1f} | "
        f"{r['exact_db']:+.3f} / {r['content_db']:+.3f} | {r['failed']:.0f} |"
        for r in summary
    ]
    lines += [
        "",
        "| model | halo px | fixed grid against centred, no DLRC: y bits | PSNR |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {r['model']} | {r['halo_px']} | {r['grid_rate_pct']:+.2f} % | {r['grid_db']:+.3f} dB |"
        for r in summary
    ]
    return "\n".join(lines)


def draw(summary: Sequence[dict], path: Path) -> None:
    """Savings of y bits per model and halo, real streams filled, estimates hatched."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    bars = (
        ("exact", "#1f5fa8", ""),
        ("content", "#3a8f5c", ""),
        ("independent", "#d9822b", ""),
        ("open", "#bbbbbb", "//"),
        ("open_centred", "#dddddd", "xx"),
    )
    figure, axis = plt.subplots(figsize=(1.3 * len(summary) + 2, 3.4), layout="constrained")
    for index, (name, colour, hatch) in enumerate(bars):
        axis.bar(
            np.arange(len(summary)) + 0.17 * (index - 2),
            [row[name] for row in summary],
            0.16,
            color=colour,
            hatch=hatch,
            label=name.replace("_", ", ") + (" (estimate)" if hatch else ""),
        )
    axis.set_xticks(range(len(summary)), [f"{row['model']}\nhalo {row['halo_px']}" for row in summary])
    axis.set_ylabel("bits of y saved, %")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.2))
    save(figure, path)


COMMAND = Command(
    name="study context",
    about=__doc__ or "",
    own=ContextKeys,
    work=study,
    subject=SCENARIO,
    honours=FLOWN,
    sets={
        "codec.model": "models",
        "codec.weights": "",
        "codec.grid": "",
        "codec.context": "",
        "capture.halo_px": "halos",
        "dlrc.signature": "",
        "dlrc.enabled": "",
    },
    default="dense",
    examples=("dlrc study context models=mbt halos=0 windows=1", "dlrc study context scene.path=FOLDER"),
)

if __name__ == "__main__":
    main_of(COMMAND)
