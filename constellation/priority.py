"""Priority: the order in which satellites keep signatures that several of them hold (paper section 3.4),
alike on every satellite.

Each satellite sends a header with one number, its *priority metric*; from the gathered headers everyone
computes the same order, and from the gathered lists the same owners. There is no second exchange.

    id        lowest satellite id first (the paper's global rank)
    link      largest metric first: soonest next contact with the ground station
    energy    largest metric first: state of charge
    random    a permutation from (seed, round)
    balanced  no single order: signatures are spread so that the busiest downlink is shortest
    module:function   the user's own: function(headers, seed, round) -> satellite ids, highest priority first

The ground decodes by priority. A total order makes every reference point up it, so streams can be decoded one
after the other. `balanced` has no total order: two satellites may refer to each other. That is fine for a
codec without context, or with `codec.context=independent`; with context it can leave streams waiting for each
other, so `check_rule` refuses it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from constellation.common.errors import UserError

RULES = ("id", "link", "energy", "random", "balanced")
_RANDOM = 0x9A1D


class Bid(Protocol):
    """What an order is made of: a header of the round. metric: what the rule goes by."""

    @property
    def satellite(self) -> int: ...

    @property
    def metric(self) -> float: ...


def priority_order(rule: str, headers: Sequence[Bid], seed: int, round_number: int) -> tuple[int, ...]:
    """Satellite ids, highest priority first; ties by id. The order of `headers` does not matter. Raises
    `UserError` for an unknown rule."""
    ids = sorted(header.satellite for header in headers)
    if rule in ("id", "balanced"):
        return tuple(ids)
    if rule in ("link", "energy"):
        metric = {
            header.satellite: -np.inf if np.isnan(header.metric) else header.metric for header in headers
        }
        return tuple(sorted(ids, key=lambda satellite: (-metric[satellite], satellite)))
    if rule == "random":
        stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([_RANDOM, seed, round_number])))
        return tuple(int(satellite) for satellite in stream.permutation(ids))
    return _user_order(rule, headers, ids, seed, round_number)


def rule_is_total_order(rule: str) -> bool:
    """Whether every reference points up one order of the satellites, as sequential decoding needs."""
    return rule != "balanced"


def check_rule(rule: str, sequential: bool = False) -> None:
    """Raise `UserError` for a rule that does not exist, or that the codec cannot be decoded under.
    sequential: vectors are coded in the light of other satellites', so that these must be decoded before."""
    if rule not in RULES:
        _user_function(rule)
    if sequential and not rule_is_total_order(rule):
        raise UserError(
            f"priority.rule={rule}: satellites may refer to each other in a circle, which a codec.model with "
            "a context cannot decode; use codec.context=independent or a model without one"
        )


def _user_function(rule: str) -> Callable[..., Sequence[int]]:
    module_name, separator, function_name = rule.partition(":")
    if not separator or not module_name or not function_name:
        raise UserError(
            f"priority.rule={rule}: unknown rule; there are: {', '.join(RULES)}, or module:function"
        )
    try:
        function: Callable[..., Sequence[int]] = getattr(importlib.import_module(module_name), function_name)
    except Exception as error:  # the user's module may fail in any way
        raise UserError(f"priority.rule={rule}: {type(error).__name__}: {error}") from None
    if not callable(function):
        raise UserError(
            f"priority.rule={rule}: found type {type(function).__name__}, expected a function of "
            "(headers, seed, round)"
        )
    return function


def _user_order(
    rule: str, headers: Sequence[Bid], ids: list[int], seed: int, round_number: int
) -> tuple[int, ...]:
    ordered = sorted(headers, key=lambda header: header.satellite)
    try:
        order = tuple(
            int(satellite) for satellite in _user_function(rule)(tuple(ordered), seed, round_number)
        )
    except UserError:
        raise
    except Exception as error:  # so may the user's function
        raise UserError(f"priority.rule={rule}: {type(error).__name__}: {error}") from None
    if sorted(order) != ids:
        raise UserError(
            f"priority.rule={rule}: returned {list(order)}, expected an order of the satellites {ids}"
        )
    return order
