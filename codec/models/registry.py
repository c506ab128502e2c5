"""The codec families by name. A new family is one file beside this one or in encoders/, with FAMILY, and one
word in NAMES."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from importlib import import_module

import torch
from torch.overrides import TorchFunctionMode

from codec.models.compressai_shim import ensure_compressai
from codec.models.model import Family, LatentModel, Widths
from constellation.common.errors import UserError

NAMES = ("bmshj", "mbt", "cheng", "elic", "rsllic", "cosmic")
DRAWERS = {"rsllic": "encoders.rsllic", "cosmic": "encoders.cosmic"}  # those that do not lie beside this file


def names() -> tuple[str, ...]:
    """Names of all families."""
    return NAMES


@functools.cache
def whole() -> tuple[str, ...]:
    """Names of the families that have a decoder of their own."""
    return tuple(name for name in NAMES if family(name).whole)


@functools.cache
def family(name: str) -> Family:
    """A family by name. Raises `UserError` for an unknown one."""
    if name not in NAMES:
        raise UserError(f"model {name!r}: expected one of {', '.join(NAMES)}")
    return import_module(f"codec.models.{DRAWERS.get(name, name)}").FAMILY


@functools.cache
def numbers() -> Mapping[int, str]:
    """Names by the number that containers have for them."""
    return {family(name).number: name for name in NAMES}


def seconds(device: str) -> dict[str, tuple[float, float, float]]:
    """Analysis, entropy modelling and entropy coding of a 256 px patch on `device`, s, for the families that
    know."""
    known = {name: family(name).seconds for name in NAMES}
    return {name: times[device] for name, times in known.items() if device in times}


def sequential(name: str, context: str) -> bool:
    """Whether a stream coded so must be decoded after those that it copies from: its vectors are coded in the
    light of theirs. context: exact, independent or open."""
    return family(name).has_context and context != "independent"


def build(name: str, widths: Widths) -> LatentModel:
    """A codec with fresh random weights (torch's global generator), in evaluation mode.

    Raises `UserError` for an unknown name or impossible widths."""
    kind = family(name)
    widths = kind.check(widths)
    ensure_compressai()
    return kind.parts(kind.build(widths).eval(), widths)


def shapes(name: str, widths: Widths) -> Mapping[str, list[int]]:
    """The shape of every tensor of the state dict that `build` would make, without the memory of its
    convolutions. Raises `UserError` as `build` does."""
    return _shapes(name, family(name).check(widths))


@functools.lru_cache(maxsize=64)
def _shapes(name: str, widths: Widths) -> Mapping[str, list[int]]:
    with torch.random.fork_rng(devices=[]), _Nowhere():  # the first call draws, a later one would not
        return {key: list(tensor.shape) for key, tensor in build(name, widths).net.state_dict().items()}


class _Nowhere(TorchFunctionMode):
    """Memory that a layer asks for without contents, its weights, lies on torch's device `meta`: nowhere."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.ones_like:  # a mask; there, torch would import sympy for it, a second and a half
            return torch.empty(args[0].shape, device="meta", dtype=args[0].dtype)
        there = {"device": "meta"} if func is torch.empty else {}
        return func(*args, **{**(kwargs or {}), **there})


def build_model(
    name: str, n: int, m: int, groups: Sequence[int] | None = None, stages: Sequence[int] = ()
) -> LatentModel:
    """`build` with the widths spelt out, for pictures of three bands."""
    return build(name, Widths(n, m, tuple(stages), tuple(groups or ())))
