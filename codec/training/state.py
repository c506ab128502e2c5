"""What a training run needs to go on, to the bit: a file beside the checkpoint, foreign until checked.

Random numbers are not in it: those of a step follow from (seed, step, rank)."""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codec.training.curves import COLUMNS
from constellation.common.errors import UserError
from constellation.common.files import write_bytes

MAX_STATE_BYTES = 4 << 30
YOUNGER = {"shrink": 1.0}  # knobs that earlier states do not hold, and what was done before there were any
FREE_TO_CHANGE = {
    "steps",
    "minutes",
    "resume",
    "threads",
    "log_s",
    "checkpoint_s",
    "val_every",
    "data",
    "val",
    "out",
}  # on resume
UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    OSError,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
)


@dataclass(frozen=True)
class State:
    """A run between two steps."""

    net: Mapping[str, Tensor]
    """the state dict without what is computed from it"""
    optimizer: Mapping[str, Any]
    step: int
    elapsed_s: float
    curve: list[list[float]]
    """rows of `codec.training.curves.COLUMNS`"""
    knobs: Mapping[str, Any]
    """those that must be the same on resume"""
    data: str
    """digest of the training pictures"""
    world: int = 1
    """processes"""
    since: list[float] = field(default_factory=lambda: [0.0] * 4)
    """sums of loss, bpp and error since the last validation, and of how many steps"""

    def packed(self) -> bytes:
        """The file's bytes."""
        buffer = io.BytesIO()
        torch.save(asdict(self), buffer)
        return buffer.getvalue()


def lasting(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """The knobs that may not change on resume."""
    return {key: value for key, value in knobs.items() if key not in FREE_TO_CHANGE}


def write_held(path: Path, held: Mapping[str, Any], same: Mapping[str, Any]) -> None:
    """Keep what a small training of its own needs to go on, tensors and plain values. same: what may not
    change on resume. Raises `UserError`."""
    buffer = io.BytesIO()
    torch.save({**held, "same": dict(same)}, buffer)
    write_bytes(path, buffer.getvalue())


@contextmanager
def holding(path: Path, same: Mapping[str, Any], what: str) -> Iterator[dict[str, Any]]:
    """What `write_held` kept, for the block that takes it up. what: a state belongs to. Raises `UserError`
    where the file is none, was kept under other values of `same`, or the block cannot take it up."""
    if not path.is_file():
        raise UserError(f"resume=true: {path.name} is not there; start without resume")
    if path.stat().st_size > MAX_STATE_BYTES:
        raise UserError(f"resume=true: {path.name} has {path.stat().st_size} bytes")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
        for key, now in same.items():
            if held["same"].get(key) != now:
                raise UserError(
                    f"{key.rstrip('_')}={now}: the run in {path.name} had {held['same'].get(key)}"
                )
        yield held
    except UNREADABLE:
        raise UserError(f"resume=true: {path.name} is no training state of this {what}") from None


def read_state(path: Path) -> State:
    """A run's state; only tensors and plain values are unpickled. Raises `UserError` where the file is none,
    or its numbers make no sense."""
    if not path.is_file():
        raise UserError(f"resume=true: {path.name} is not there; start without resume")
    size = path.stat().st_size
    if size > MAX_STATE_BYTES:
        raise UserError(f"resume=true: {path.name} has {size} bytes, expected at most {MAX_STATE_BYTES}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        values = {f.name: content[f.name] for f in fields(State) if f.name in content}
        state = State(**{**values, "knobs": dict(values["knobs"])})
    except UNREADABLE:
        raise UserError(f"resume=true: {path.name} is no training state of this program") from None
    try:
        _check(state)
    except (RuntimeError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _misfit(path, error) from None
    return state


def check_same(state: State, path: Path, knobs: Mapping[str, Any], data: str, world: int) -> None:
    """Raises `UserError` where a run with these knobs, on these pictures, is not the one of the state."""
    if state.world != world:
        raise UserError(
            f"resume=true: the run in {path.name} had {state.world} processes, this one has {world}; "
            "resume needs as many"
        )
    for key, value in lasting(knobs).items():
        had = state.knobs.get(key, YOUNGER.get(key))
        if had != value:
            raise UserError(
                f"{key.rstrip('_')}={value}: the run in {path.name} had {had}; resume needs the same"
            )
    if state.data != data:
        raise UserError(f"data=: other pictures ({data}) than the run in {path.name} had ({state.data})")


def fill(
    state: State, path: Path, net: torch.nn.Module, optimizer: torch.optim.Optimizer, keys: set[str]
) -> None:
    """Give a network and its optimiser what the state holds; `keys`: the tensors that it must hold. Raises
    `UserError`."""
    try:
        if state.net.keys() != keys:
            raise ValueError("parameters are missing or foreign")
        net.load_state_dict({**net.state_dict(), **state.net})
        optimizer.load_state_dict(dict(state.optimizer))
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _misfit(path, error) from None


def _check(state: State) -> None:
    if not all(bool(torch.isfinite(value).all()) for value in state.net.values()):
        raise ValueError("parameters are not finite")
    numbers = [state.step, state.elapsed_s, *state.since]
    whole = type(state.step) is int and len(state.since) == 4
    if not whole or not all(math.isfinite(float(v)) for v in numbers) or min(state.step, state.elapsed_s) < 0:
        raise ValueError("step or time make no sense")
    if any(len([float(value) for value in row]) != len(COLUMNS) for row in state.curve):
        raise ValueError("the curve makes no sense")


def _misfit(path: Path, error: Exception) -> UserError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(f"resume=true: {path.name} does not fit this network ({reason})")
