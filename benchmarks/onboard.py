"""What every encoder costs on board: multiply-adds of g_a and of the whole, parameters, milliseconds, memory,
joules; DLRC and a cross-view prediction beside them.

    dlrc bench onboard [models=...] [widths=shipped,paper] [sizes=256,512,1024,2048] [board=FILE] [out=FOLDER]
    dlrc bench onboard out=FOLDER draw=true

One thread, CPU time, smallest of the repeats; joules are those milliseconds at `energy.compute_w`. The
entropy side is on board too, so g_a alone flatters a light encoder: both are printed. `paper` widths are N =
128, M = 320 (without groups 192; cheng 128) with random weights. A prediction is the exact g_a of the codec
that decodes, which the ground has too. `data=` adds quality: R + lambda 255^2 MSE of held-out patches, with
JPEG 2000 and CCSDS 122. `out=` keeps every row as soon as it is measured: the same command goes on after
whatever ended it, `draw=true` prints and draws what is kept. `board=` is a YAML file of a board of yours
(name, compute_w, and gmac_s or times_slower than this machine): its milliseconds and joules by proportion.
`profile=` writes what was measured for `clock.profile=FILE.yaml`: run this on the board, and simulate with
its times."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from benchmarks.common.boards import device_of, read_board, tell_board
from benchmarks.common.classical import COLOUR, classical_rivals
from benchmarks.common.macs import on_board, parameters
from benchmarks.common.onboard_figure import draw, points_of
from benchmarks.common.onboard_store import Store, machine, with_joules
from benchmarks.common.onboard_tables import line_of, tell_head, tell_paper, tell_quality, tell_sizes
from benchmarks.overhead import PARTS, fastest, measure
from codec.models import registry
from codec.models.checkpoint import CheckpointInfo, load_weights, weights_sha256
from codec.models.model import LatentModel, Widths
from codec.portable.transforms import Transforms
from codec.training.evaluate import held_out_patches, judged
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.knobs import Knobs, Says, Several
from constellation.common.progress import watched
from constellation.formats.device import write_device
from constellation.scenario.coding import CodecKnobs, DlrcKnobs
from constellation.scenario.load import SCENARIO
from constellation.scenario.scenario import Scenario
from dlrc.commands.models import known_models
from dlrc.studies.common.variants import Trial
from nodes.process.board import Board
from nodes.process.device import one_thread

RIVALS = ("jpeg2000", *COLOUR)
PAPER_M = {True: 320, False: 192}  # by whether latents come in groups


class OnboardKeys(Knobs):
    """Keys of this benchmark."""

    models: Several[str] = registry.names()
    """families"""
    widths: Several[Literal["shipped", "paper"]] = ("shipped", "paper")
    """of the codecs"""
    sizes: Several[Annotated[int, Field(ge=64, le=4096, multiple_of=64)]] = (256, 512, 1024, 2048)
    """sides of a patch, px"""
    repeats: Annotated[int, Field(ge=1, le=1000)] = 3
    """of which the smallest counts, up to 512 px"""
    repeats_large: Annotated[int, Field(ge=1, le=1000)] = 1
    """the same of larger patches"""
    data: str = ""
    """folder of the scenes that `dlrc evaluate` takes, for quality"""
    patches: Annotated[int, Field(ge=1, le=1000)] = 6
    """of each scene"""
    board: str = ""
    """YAML file of a board"""
    out: str = ""
    """folder for onboard.json and onboard.png; what it holds already is not measured again"""
    draw: bool = False
    """print and draw what `out` holds, and measure nothing"""
    profile: Annotated[str, Field(pattern=r"^(.+\.ya?ml)?$"), Says("a .yaml file")] = ""
    """file to write for clock.profile: this machine's times with the first of widths and sizes"""
    called: Annotated[str, Field(max_length=60)] = ""
    """name of this machine in it"""


def bench(given: Given) -> None:
    """Print the table, the paper's own times beside it, and quality where there are pictures."""
    own, scenario = given.own, given.subject
    models, own_board = known_models(own.models), read_board(own.board) if own.board else None
    patches = None
    if own.draw:
        store = Store.of(own.out)
    else:
        patches = held_out_patches(own.data, count=own.patches) if own.data else None
        seen = f"{scenario.seed} {scenario.scene.model_dump_json()} {scenario.capture.model_dump_json()}"
        store = Store.at(own.out, made(own, scenario.codec, scenario.dlrc, seen))
        one_thread()
    watts = scenario.energy.compute_w
    tell_head(store.made["machine"], watts)
    rows = []
    for row in store.rows if own.draw else measured(own, scenario, store, models):
        rows += with_joules([row], watts)
        print(line_of(rows[-1]), flush=True)
    if own_board:
        tell_board(own_board, rows)
        store.board = own_board.model_dump()
        store.write()
    if own.profile:
        write_device(device_of(rows, own.called, scenario.dlrc.k), Path(own.profile))
    tell_sizes(store.rows)
    tell_paper(rows)
    if patches is not None:
        judge(store, models, patches, scenario.codec.lambda_)
    if store.quality:
        tell_quality(store)
        if store.folder is not None:
            draw(store.folder / "onboard.png", *points_of(store.rows, store.quality, watts))


def made(own: OnboardKeys, codec: CodecKnobs, dlrc: DlrcKnobs, seen: str) -> dict[str, str]:
    """The circumstances that rows of one table share, by key. seen: what decides what is captured."""
    return {
        "machine": machine(),
        "repeats": f"{own.repeats},{own.repeats_large}",
        "codec": f"lambda {codec.lambda_:g}, portable {codec.portable}",
        "dlrc": f"k {dlrc.k}, {dlrc.rotation}, {dlrc.representative}",
        "scene": hashlib.sha256(seen.encode()).hexdigest()[:8],
    }


def measured(
    own: OnboardKeys, scenario: Scenario, store: Store, models: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """A row a size, codec and widths, the small sizes first: as kept, or measured and kept."""
    plan = [(size, name, kind) for size in own.sizes for name in models for kind in own.widths]
    for size, name, kind in watched(plan, "rows"):
        key = {"model": name, "widths": kind, "size_px": size, "weights": "random"}
        if kind == "shipped":
            key["weights"] = weights_sha256("", name, scenario.codec.lambda_)[:12]
        row = store.row(**key)
        if row is None:
            began_s, repeats = time.process_time(), own.repeats if size <= 512 else own.repeats_large
            model, info = loaded(name, kind, scenario.codec.lambda_)
            row = {**key, "label": label_of(model), **costs(model)}
            row |= times(Trial(scenario, Board(model, info, "cpu")), size, repeats)
            row |= {"spent_s": time.process_time() - began_s, "date": f"{date.today()}"}
            store.add(row)
        yield row


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


def label_of(model: LatentModel) -> str:
    """A codec and its widths."""
    w = model.widths
    return f"{model.name} {w.n}/{w.m}" + (f" ({', '.join(map(str, w.stages))})" if w.stages else "")


def judge(store: Store, models: Sequence[str], patches: np.ndarray, lambda_: float) -> None:
    """Loss, bit/px and PSNR of what ships on held-out patches; of classical codecs also milliseconds. Those
    that are kept are not judged again."""
    digest = hashlib.sha256(f"{lambda_} {patches.shape}".encode() + patches.tobytes()).hexdigest()[:12]
    kept = store.quality if store.patches == digest else {}
    for name in watched([one for one in models if one not in kept], "codecs judged"):
        figures = judged(load_weights("", name, lambda_)[0], torch.from_numpy(patches), lambda_)
        store.judge(digest, {name: as_figures(figures)})
    if any(name not in kept for name in RIVALS):
        rivals, clocked = classical_rivals(patches, lambda_)
        told = {name: {**as_figures(one), "on_board_ms": clocked[name]} for name, one in rivals.items()}
        store.judge(digest, told)


def as_figures(judged: tuple[float, float, float]) -> dict[str, float]:
    """Of (loss, bit/px, PSNR in dB), by name."""
    return dict(zip(("loss", "bpp", "psnr_db"), map(float, judged), strict=True))


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
    examples=(
        "dlrc bench onboard sizes=256",
        "dlrc bench onboard data=SCENES out=onboard",
        "dlrc bench onboard out=onboard draw=true",
        "dlrc bench onboard models=elic,rsllic board=mine.yaml",
    ),
)  # fmt: skip

if __name__ == "__main__":
    main_of(COMMAND)
