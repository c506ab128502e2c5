"""Rounds of tiny codecs that exchange their streams, over made-up views, with a fusion of random weights.

Such a fusion saves nothing, so a round of the plain rules sends plain streams. `forced` makes satellites send
the last way that they thought of, predicted wherever there is a reference."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import TypeVar
from unittest import mock

import numpy as np
import torch

from codec.models.registry import build_model
from codec.portable.transforms import Transforms
from codec.prediction.fusion import Fusion
from codec.prediction.predictor import Predictor
from codec.prediction.values import Guide, all_sent
from ground.round import Station, hear_round
from nodes.crew import Crew
from nodes.streams import predict
from tests.golden.make_checkpoints import WIDTHS
from tests.nodes import round_cases

T = TypeVar("T", bound=torch.nn.Module)
WORDS = ("dlrc.exchange=streams", "dlrc.dedup=hybrid")
FAMILIES = ("bmshj", "mbt", "cheng", "elic")
DIGEST = b"test"


@functools.cache
def predictor_of(model: str) -> Predictor:
    board, widths = round_cases.board_of(model), WIDTHS[model]
    fusion = _filled(Fusion(board.model, hidden=8))
    predictor = Predictor(board.model, fusion, DIGEST)
    other = build_model(model, *widths[:2], widths[2])  # the golden checkpoint has no transforms
    _filled(other.net)
    predictor.transforms = Transforms(other)
    return predictor


def _filled(net: T) -> T:
    """Random weights that are the same wherever NumPy is; GDN is as it was made."""
    draws = np.random.Generator(np.random.Philox(7))
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if not name.endswith(("beta", "gamma")):  # GDN's are positive, and not drawn
                spread = 0.6 / max(1.0, parameter[0].numel() ** 0.5) if parameter.dim() > 1 else 0.05
                drawn = draws.normal(0, spread, parameter.shape).astype(np.float32)
                parameter.copy_(torch.from_numpy(drawn))
    return net


def crew_of(model: str, numbers=round_cases.EVERYBODY, words=WORDS, hearing=None) -> Crew:
    """A crew of `numbers` that predicts with random weights."""
    crew = round_cases.crew_of(model, numbers, tuple(words), hearing)
    crew.board.__dict__["predictor"] = predictor_of(model)  # where cached_property looks
    return crew


def ground_of(model: str, number: int = 0):
    """The ground's side of a round."""
    return hear_round(station_of(model), number)


def station_of(model: str) -> Station:
    return Station(crew_of(model).board)


def some_plan(predictor, coder, own, references, kept=None) -> Guide:
    """A guide that trusts every root to a reference or an average, at a level, displaced by some motion: what
    no search would find, and every decoder must follow."""
    side, count = own[0].shape[0] // 32, len(references)
    draws = np.random.default_rng([count, *(satellite for satellite, _, _ in references)])
    roots = draws.integers(0, 1 + count + (count > 1), size=(side, side)).astype(np.uint8)
    roots[0, 0] = count  # the last is in use
    roots[-1, -1] = 1
    used = (roots > 0).repeat(2, 0).repeat(2, 1)
    levels = np.where(used, draws.integers(1, 4, size=used.shape), 0).astype(np.uint8)
    placements = np.array([np.tile(shift, 4) for _, _, shift in references], dtype=np.int32) * 16
    steps = draws.integers(-16, 17, size=(side, side, 2)).repeat(4, 0).repeat(4, 1)
    moving = (roots > 0).repeat(4, 0).repeat(4, 1)[:, :, None]
    return Guide(
        tuple(satellite for satellite, _, _ in references),
        placements,
        draws.integers(250, 262, size=(count, 3)).astype(np.int32),
        32 * draws.integers(-2, 3, size=(count, 3)).astype(np.int32),
        roots,
        levels,
        draws.random(all_sent(levels).shape) < 0.7,
        (steps * moving).astype(np.int16),
        np.zeros((4 * side, 4 * side), np.uint8),
    )


@contextlib.contextmanager
def forced() -> Iterator[None]:
    """Whoever has a reference predicts from it, whatever it costs."""
    with (
        mock.patch.object(predict, "plan", some_plan),
        mock.patch.object(predict, "shortest", lambda streams: len(streams) - 1),
    ):
        yield
