"""Is cross-view coding exact, what does that cost in bits, and how long does it take?

Second views of real crops (half a pixel beside the first, 5 % of gain, noise of 2 counts) are coded in the
light of the first one, and decoded from bytes and the neighbour's integers alone: picture, composition,
analysis, fusion, entropy coding. Encoder and decoder differ in back end, threads and batch; every y_hat must
come out. Then whole processes repeat the first patches under other instruction sets of oneDNN, ATen and
numba, and every number of every stage must be the same: one digest. Bits: exact parameters against float32
ones through the same tables. Times: the least of several, one thread, one patch."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field

from benchmarks.common.second_views import Bench, Case
from benchmarks.exactness import arithmetic
from codec.entropy import smooth
from codec.entropy.decoder import DecodedLatents, StreamItem, decode
from codec.entropy.encoder import encode
from codec.entropy.estimate import predicted_bits
from codec.entropy.tables import code_lengths
from codec.maps.assignment import all_kept
from codec.models import registry
from codec.prediction.predictor import Predictor
from codec.prediction.values import Prediction
from codec.prediction.warp import compose
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.knobs import Knobs, Several
from dlrc.commands.models import known_models

BATCH = 4
PLACES = (  # environments in which the same numbers must come out, and the back end
    ("as this machine is", {}, "auto"),
    ("float64", {}, "float64"),
    ("2 threads", {"OMP_NUM_THREADS": "2"}, "int8"),
    ("AVX-512 without VNNI", {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, "int8"),
    ("AVX2", {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}, "int8"),
    (
        "SSE4.1, numba for any x86-64",
        {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default", "NUMBA_CPU_NAME": "generic"},
        "int8",
    ),
    ("no vectors of ATen, float64", {"ATEN_CPU_CAPABILITY": "default"}, "float64"),
)


# ---------------------------------------------------------------- one process


def stages(bench: Bench, predictor: Predictor, case: Case) -> tuple[dict[str, bytes], Prediction]:
    """Every number on the way, as bytes, by stage."""
    picture = predictor.transforms.picture(case.first)
    composed, planes = compose(case.guide, {0: picture})
    prediction = predictor.of_picture(composed, planes, case.guide)
    shape = case.y_hat.shape[1:]
    hyper = bench.coder.exact.hyper(case.z, *shape)
    features = predictor.fusion.features(hyper, prediction, shape)
    coded = encode(bench.coder, case.z, case.y_hat, all_kept(*shape).known(), prediction)
    made = (picture, composed, planes, prediction.y, features)
    names = ("g_s", "composition", "planes", "g_a", "fusion")
    return dict(zip(names, (array.tobytes() for array in made), strict=True)) | {
        "y": coded.y_bytes
    }, prediction


def times_ms(bench: Bench, predictor: Predictor, case: Case, repeats: int) -> dict[str, float]:
    """The least of some, by stage."""
    pictures = {0: predictor.transforms.picture(case.first)}
    composed, planes = compose(case.guide, pictures)
    prediction = predictor.of_picture(composed, planes, case.guide)
    shape = case.y_hat.shape[1:]
    hyper, known = bench.coder.exact.hyper(case.z, *shape), all_kept(*shape).known()
    coded = encode(bench.coder, case.z, case.y_hat, known, prediction)
    item = StreamItem(coded.z_bytes, coded.y_bytes, known, coded.y_digest, prediction=prediction)
    work: dict[str, Callable] = {
        "g_s": lambda: predictor.transforms.picture(case.first),
        "composition": lambda: compose(case.guide, pictures),
        "g_a": lambda: predictor.transforms.latents(composed),
        "trunk": lambda: predictor.fusion.features(hyper, prediction, shape),
        "coding": lambda: encode(bench.coder, case.z, case.y_hat, known, prediction),
        "coding alone": lambda: encode(bench.coder, case.z, case.y_hat, known),
        "decoding": lambda: decode(bench.coder, [item]),
    }
    return {name: min(_timed_ms(one) for _ in range(repeats)) for name, one in work.items()}


def _timed_ms(work: Callable) -> float:
    start = time.thread_time()  # a shared machine: the time of this thread, not of the clock
    work()
    return 1000 * (time.thread_time() - start)


def report(own: PredictionKeys) -> None:
    """One process's digests of all stages and its times, as a line of JSON for each model."""
    for name in known_models(own.models):
        bench = Bench(name, own.lambda_)
        predictor = bench.predictor(own.backend)
        digest, case = {}, None
        for case in islice(bench.cases(own.patch_px, own.seed), own.spread):
            for stage, data in stages(bench, predictor, case)[0].items():
                digest.setdefault(stage, hashlib.sha256()).update(data)
        assert case is not None
        spent = times_ms(bench, predictor, case, own.repeats)
        digests = {stage: found.hexdigest()[:16] for stage, found in digest.items()}
        line = {"model": name, "backend": predictor.transforms.backend, "digests": digests, "ms": spent}
        print(json.dumps(line), flush=True)


def spread(own: PredictionKeys, name: str) -> int:
    """Print what other environments give for a model; how many numbers of stages differ from the first
    one's."""
    wrong, expected = 0, None
    for label, variables, backend in PLACES:
        words = [f"models={name}", f"spread={own.spread}", f"patch_px={own.patch_px}", f"seed={own.seed}"]
        words += [f"lambda={own.lambda_}", f"repeats={own.repeats}", f"backend={backend}", "role=report"]
        command = [sys.executable, "-m", "benchmarks.prediction", *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode or not lines:
            raise UserError(f"{label}: {(done.stderr.strip().splitlines() or ['no output'])[-1]}")
        found = json.loads(lines[0])
        expected = expected or found["digests"]
        differ = [stage for stage, digest in found["digests"].items() if digest != expected[stage]]
        wrong += len(differ)
        ms = ", ".join(f"{stage} {spent:.1f}" for stage, spent in found["ms"].items())
        print(f"{name:6} {label:30} {found['backend']:8} differ: {differ or 'none'}; ms: {ms}", flush=True)
    return wrong


# ---------------------------------------------------------------- exact decoding, and bits


@torch.no_grad()
def float_bits(bench: Bench, case: Case, prediction: Prediction | None, picture: np.ndarray) -> float:
    """Bits of y with parameters of the ordinary float32 networks, through the coder's tables. picture:
    composed, int16 [P, P, 3]."""
    model, tables = bench.model, bench.coder.tables
    y = torch.tensor(case.y_hat).float()[None]
    z_hat = torch.tensor(case.z)[None] + model.medians()
    means, scales = smooth.parameters(model, z_hat, y)
    if prediction is not None:
        size = case.y_hat.shape[1:]
        y_pred = model.g_a(torch.from_numpy(picture.astype(np.float32) / 16320).permute(2, 0, 1)[None])
        planes = torch.from_numpy(prediction.planes.T.reshape(1, -1, *size).copy()).float()
        levels = torch.from_numpy(prediction.levels.reshape(1, *size).astype(np.int64))
        features = bench.fusion.features(model.h_s(z_hat), y_pred, planes, levels)
        at = (levels > 0)[:, None]
        for number, step in enumerate(model.passes):
            c = step.channels
            if number and c == model.passes[number - 1].channels:
                continue  # anchors and others: `smooth` has given both
            new = bench.fusion(number, features, scales[:, c], means[:, c], y_pred[:, c])
            scales[:, c], means[:, c] = (
                torch.where(at, one, old) for one, old in zip(new, (scales[:, c], means[:, c]), strict=True)
            )
    pair = torch.cat((scales, means), 1)[0].flatten(1).T.double().numpy()
    table, centre = tables.index(pair)
    return float(code_lengths(case.y_hat.reshape(model.m, -1).T - centre, table, tables.code).sum())


def examine(own: PredictionKeys, name: str) -> int:
    """Code and decode; print mismatches and bits of one model; how many streams came out wrong."""
    bench = Bench(name, own.lambda_)
    here, there = bench.predictor("auto"), bench.predictor("float64")
    wrong, bits, waiting = 0, dict.fromkeys(("exact", "float32", "alone", "alone float32"), 0.0), []
    for number, case in enumerate(islice(bench.cases(own.patch_px, own.seed), own.patches)):
        known = all_kept(*case.y_hat.shape[1:]).known()
        picture = here.transforms.picture(case.first)
        composed, planes = compose(case.guide, {0: picture})
        prediction = here.of_picture(composed, planes, case.guide)
        coded = encode(bench.coder, case.z, case.y_hat, known, prediction)
        with arithmetic(2):
            again = there.prediction(case.guide, {0: there.transforms.picture(case.first)})
        item = StreamItem(coded.z_bytes, coded.y_bytes, known, coded.y_digest, prediction=again)
        waiting.append((item, case.y_hat))
        if len(waiting) == BATCH or number == own.patches - 1:
            with arithmetic(1 + number % 2):
                results = decode(bench.coder, [item for item, _ in waiting])
            pairs = zip(results, waiting, strict=True)
            wrong += sum(
                not isinstance(r, DecodedLatents) or not np.array_equal(r.y_context, y) for r, (_, y) in pairs
            )
            waiting = []
        bits["exact"] += predicted_bits(bench.coder, case.z, case.y_hat, prediction).sum()
        bits["float32"] += float_bits(bench, case, prediction, composed)
        bits["alone"] += predicted_bits(bench.coder, case.z, case.y_hat, None).sum()
        bits["alone float32"] += float_bits(bench, case, None, composed)
    print(
        f"{name:6} {own.patches} patches, {'shipped' if bench.trained else 'untrained'} fusion: {wrong} "
        "wrong; "
        f"y bits exact over float32 {bits['exact'] / bits['float32'] - 1:+.3%} (alone "
        f"{bits['alone'] / bits['alone float32'] - 1:+.3%}); predicted over alone "
        f"{bits['exact'] / bits['alone'] - 1:+.1%}",
        flush=True,
    )
    return wrong


class PredictionKeys(Knobs):
    """Keys of this benchmark."""

    models: Several[str] = registry.whole()
    """families"""
    patches: Annotated[int, Field(ge=1, le=10**6)] = 20
    """coded and decoded, of each model"""
    spread: Annotated[int, Field(ge=0, le=1000)] = 2
    """patches that other processes repeat, under each environment; 0: none"""
    patch_px: Annotated[int, Field(ge=64, le=1024, multiple_of=64)] = 256
    """side of a patch"""
    lambda_: Annotated[float, Field(gt=0, le=10, alias="lambda")] = 0.013
    """of the shipped checkpoints"""
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    """of the crops"""
    repeats: Annotated[int, Field(ge=1, le=1000)] = 7
    """of each time, of which the least counts"""
    backend: Literal["auto", "int8", "float64"] = "auto"
    """of a report"""
    role: Literal["all", "report"] = "all"
    """report: this process's digests and times alone, as JSON"""


def bench(given: Given) -> None:
    """Print rows per model; exit code 1 if anything differed."""
    own: PredictionKeys = given.own
    if own.role == "report":
        return report(own)
    torch.set_num_threads(1)
    wrong = 0
    for name in known_models(own.models):
        wrong += examine(own, name)
        wrong += spread(own, name) if own.spread else 0
    print(f"mismatches, all models: {wrong}")
    if wrong:
        raise SystemExit(1)


COMMAND = Command(
    name="bench prediction",
    about=__doc__,
    own=PredictionKeys,
    work=bench,
    examples=("dlrc bench prediction models=bmshj patches=4",),
)

if __name__ == "__main__":
    main_of(COMMAND)
