"""What every encoder costs on board: multiply-adds of g_a and of the whole, parameters, milliseconds, memory,
joules; DLRC and a cross-view prediction beside them.

    dlrc bench onboard [models=...] [widths=shipped,paper] [sizes=256,512,1024,2048] [board=FILE] [out=FOLDER]

One thread, CPU time, smallest of the repeats; joules are those milliseconds at `energy.compute_w`. The
entropy side is on board too, so g_a alone flatters a light encoder: both are printed. `paper` widths are N =
128, M = 320 (without groups 192; cheng 128) with random weights. A prediction is the exact g_a of the codec
that decodes, which the ground has too. `data=` adds quality: R + lambda 255^2 MSE of held-out patches, with
JPEG 2000 and CCSDS 122. `board=` is a YAML file of a board of yours (name, compute_w, and gmac_s or
times_slower than this machine): its milliseconds and joules by proportion. `profile=` writes what was
measured for `clock.profile=FILE.yaml`: run this on the board, and simulate with its times."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field

from benchmarks.common.boards import device_of, read_board, tell_board
from benchmarks.common.classical import classical_rivals
from benchmarks.common.macs import on_board, parameters
from benchmarks.overhead import PARTS, fastest, measure
from codec.models import registry
from codec.models.checkpoint import CheckpointInfo, load_weights
from codec.models.model import LatentModel, Widths
from codec.portable.transforms import Transforms
from codec.training.evaluate import held_out_patches, judged
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_text
from constellation.common.knobs import Knobs, Says, Several
from constellation.common.progress import watched
from constellation.formats.device import write_device
from constellation.scenario.load import SCENARIO
from constellation.scenario.scenario import Scenario
from dlrc.commands.models import known_models
from dlrc.studies.common.variants import Trial
from nodes.process.board import Board
from nodes.process.device import one_thread

PAPER_M = {True: 320, False: 192}  # by whether latents come in groups
COLUMNS = (
    "codec, widths", "px", "g_a", "hyper", "context", "on board kMAC/px", "g_a / all parameters, M",
    "g_a ms", "entropy ms", "on board ms", "J", "peak MiB", "DLRC ms", "%", "a prediction ms",
)  # fmt: skip


class OnboardKeys(Knobs):
    """Keys of this benchmark."""

    models: Several[str] = registry.names()
    """families"""
    widths: Several[Literal["shipped", "paper"]] = ("shipped", "paper")
    """of the codecs"""
    sizes: Several[Annotated[int, Field(ge=64, le=4096, multiple_of=64)]] = (256, 512, 1024, 2048)
    """sides of a patch, px"""
    repeats: Annotated[int, Field(ge=1, le=1000)] = 3
    """of which the smallest counts"""
    data: str = ""
    """folder of the scenes that `dlrc evaluate` takes, for quality"""
    patches: Annotated[int, Field(ge=1, le=1000)] = 6
    """of each scene"""
    board: str = ""
    """YAML file of a board"""
    out: str = ""
    """folder for onboard.json and onboard.png"""
    profile: Annotated[str, Field(pattern=r"^(.+\.ya?ml)?$"), Says("a .yaml file")] = ""
    """file to write for clock.profile: this machine's times with the first of widths and sizes"""
    called: Annotated[str, Field(max_length=60)] = ""
    """name of this machine in it"""


def bench(given: Given) -> None:
    """Print the table, the paper's own times beside it, and quality where there are pictures."""
    own, scenario = given.own, given.subject
    models, own_board = known_models(own.models), read_board(own.board) if own.board else None
    folder = make_folder(Path(own.out), "out") if own.out else None
    one_thread()
    rows = []
    print(f"one thread; {scenario.energy.compute_w:g} W while computing\n")
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    for name in watched(models, "models"):
        for kind in own.widths:
            model, info = loaded(name, kind, scenario.codec.lambda_)
            for size in own.sizes:
                repeats = own.repeats if size <= 512 else 1
                row = {"model": name, "widths": kind, "size_px": size, **costs(model)}
                row |= times(Trial(scenario, Board(model, info, "cpu")), size, repeats)
                row["joules"] = 1e-3 * row["on_board_ms"] * scenario.energy.compute_w
                rows.append(row)
                print(line_of(row, model), flush=True)
    if own_board:
        tell_board(own_board, rows)
    if own.profile:
        write_device(device_of(rows, own.called, scenario.dlrc.k), Path(own.profile))
    tell_paper(rows)
    quality = judge(models, own, scenario) if own.data else {}
    if folder is not None:
        content = {"rows": rows, "quality": quality, "board": own_board.model_dump() if own_board else None}
        write_text(folder / "onboard.json", json.dumps(content, indent=1) + "\n")
        if quality:
            draw(folder / "onboard.png", [r for r in rows if r["widths"] == "shipped"], quality)


def loaded(name: str, kind: str, lambda_: float) -> tuple[LatentModel, CheckpointInfo]:
    """A codec as it ships, or of the paper's widths with random weights."""
    model, info = load_weights("", name, lambda_)
    if kind == "shipped":
        return model, info
    torch.manual_seed(0)
    try:
        wide = registry.build(name, Widths(128, PAPER_M[bool(model.widths.groups)]))
    except UserError:  # a family of one width
        wide = registry.build(name, Widths(128, 128))
    wide.net.update(force=True)
    return wide, info


def costs(model: LatentModel) -> dict[str, float]:
    """kMAC/px and parameters."""
    parts = {f"{key}_kmac": value / 1e3 for key, value in on_board(model).items()}
    entropy = (model.h_a, model.h_s, model.bottleneck, *model.context_networks, *model.heads)
    return {
        **parts,
        "on_board_kmac": sum(parts.values()),
        "g_a_parameters": parameters([model.g_a]),
        "on_board_parameters": parameters([model.g_a, *entropy]),
    }


def times(trial: Trial, size: int, repeats: int) -> dict[str, float]:
    """Milliseconds of a patch's stages, and peak memory of this process, MiB."""
    clear_peak()
    ms = measure(trial, size, repeats)
    peak = peak_mib()
    codec, dlrc = ms["analysis"] + ms["coding"], sum(ms[part] for part in PARTS[2:])
    transforms = Transforms(trial.board.model.ground)
    picture = np.zeros((size, size, 3), np.int16)
    prediction_s = float("nan")
    if transforms.exact_analysis:
        prediction_s = fastest(lambda: transforms.latents(picture), 1)
    return {
        "g_a_ms": ms["analysis"],
        "hyperprior_ms": ms["hyperprior"],
        "hash_ms": ms["recognizer"] + ms["selector"],
        "arbitrate_ms": ms["arbiter"] + ms["filter"] + ms["map"],
        "entropy_ms": ms["coding"],
        "on_board_ms": codec,
        "dlrc_ms": dlrc,
        "dlrc_share_pct": 100 * dlrc / codec,
        "prediction_ms": 1e3 * prediction_s,
        "peak_mib": peak,
    }


def clear_peak() -> None:
    """Forget the process's highest resident memory, where the kernel can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_mib() -> float:
    """Highest resident memory since then, MiB; NaN where nobody says."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        found = None
    return int(found.group(1)) / 1024 if found else float("nan")


def line_of(row: Mapping, model: LatentModel) -> str:
    """One row of the table."""
    w = model.widths
    label = f"{row['model']} {w.n}/{w.m}" + (f" ({', '.join(map(str, w.stages))})" if w.stages else "")
    cells = [
        label, row["size_px"], *(f"{row[k]:.1f}" for k in ("g_a_kmac", "hyperprior_kmac", "context_kmac")),
        f"{row['on_board_kmac']:.1f}",
        f"{row['g_a_parameters'] / 1e6:.2f} / {row['on_board_parameters'] / 1e6:.2f}",
        *(f"{row[k]:.1f}" for k in ("g_a_ms", "entropy_ms", "on_board_ms")),
        f"{row['joules']:.2f}", f"{row['peak_mib']:.0f}", f"{row['dlrc_ms']:.2f}",
        f"{row['dlrc_share_pct']:.1f}", f"{row['prediction_ms']:.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def tell_paper(rows: Sequence[Mapping]) -> None:
    """The paper's Table 2 and Figure 9, whose bars are its columns, beside what was measured here."""
    ours = {row["model"]: row for row in rows if row["size_px"] == 256 and row["widths"] == rows[0]["widths"]}
    print("\nTable 2 and Figure 9 of the paper (Titan V, 256 px; * our estimate), and one thread here\n")
    print(
        "| codec | g_a ms | modelling ms | coding ms | sum ms | DLRC 12.89 ms | here: g_a | entropy | DLRC |"
    )
    print(f"|{' --- |' * 9}")
    for name, parts in registry.seconds("titan_v").items():
        ms, row = [1e3 * part for part in parts], ours.get(name)
        here = [f"{row[k]:.1f}" for k in ("g_a_ms", "entropy_ms", "dlrc_ms")] if row else ["-"] * 3
        star = "" if registry.family(name).whole else "*"
        cells = (f"{name}{star}", *(f"{v:.2f}" for v in (*ms, sum(ms))), f"{1289 / sum(ms):.0f} %", *here)
        print(f"| {' | '.join(cells)} |")


def judge(models: Sequence[str], own: OnboardKeys, scenario: Scenario) -> dict[str, dict[str, float]]:
    """Loss, bit/px and PSNR of what ships on held-out patches; of classical codecs also milliseconds."""
    lambda_, patches = scenario.codec.lambda_, held_out_patches(own.data, count=own.patches)
    found = {
        name: judged(load_weights("", name, lambda_)[0], torch.from_numpy(patches), lambda_)
        for name in models
    }
    rivals, clocked = classical_rivals(patches, lambda_)
    found |= rivals
    told = ", ".join(f"{name} {ms:.1f} ms" for name, ms in clocked.items())
    print(f"\n{len(patches)} held-out patches of 256 px, lambda {lambda_:g}; encoding takes {told}\n")
    print("| codec | R + lambda D | bit/px | PSNR dB |\n|---|---|---|---|")
    for name, (loss, bpp, psnr) in found.items():
        print(f"| {name} | {loss:.4f} | {bpp:.4f} | {psnr:.2f} |")
    out: dict[str, dict[str, float]] = {}
    for name, (loss, bpp, psnr) in found.items():
        out[name] = {"loss": loss, "bpp": bpp, "psnr_db": psnr}
        if name in clocked:
            out[name]["on_board_ms"] = clocked[name]
    return out


def draw(path: Path, rows: Sequence[Mapping], quality: Mapping[str, Mapping[str, float]]) -> None:
    """Loss over on-board milliseconds, and joules, of a patch of the smallest size."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator

    size = min(row["size_px"] for row in rows)
    at = {row["model"]: (row["on_board_ms"], row["joules"]) for row in rows if row["size_px"] == size}
    watts = max(joules / ms for ms, joules in at.values())
    for name, figures in quality.items():
        if "on_board_ms" in figures:
            at[name] = figures["on_board_ms"], watts * figures["on_board_ms"]
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for axis, k, label in zip(axes, (0, 1), (f"on board, ms a {size} px patch", "J a patch"), strict=True):
        for name, place in at.items():
            axis.plot(place[k], quality[name]["loss"], "o")
            axis.annotate(
                name, (place[k], quality[name]["loss"]), (4, 3), textcoords="offset points", fontsize=8
            )
        axis.set_xscale("log")
        axis.set_xlim(right=1.5 * max(place[k] for place in at.values()))  # room for the last name
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("")
        axis.set_xlabel(f"{label} (log scale)")
        axis.grid(alpha=0.25)
    axes[0].set_ylabel("R + lambda 255² MSE, less is better")
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


COMMAND = Command(
    name="bench onboard",
    about=__doc__,
    own=OnboardKeys,
    work=bench,
    subject=SCENARIO,
    honours=("seed", "scene", "capture", "codec.lambda", "codec.portable", "dlrc.k", "dlrc.rotation",
             "dlrc.representative", "energy"),
    sets={
        "scenario": "", "codec.model": "models", "scene.size_px": "sizes", "capture.patch_px": "sizes",
        "capture.window_px": "sizes", "capture.halo_px": "",
    },
    default="dense",
    examples=("dlrc bench onboard sizes=256", "dlrc bench onboard models=elic,rsllic board=mine.yaml"),
)  # fmt: skip

if __name__ == "__main__":
    main_of(COMMAND)
