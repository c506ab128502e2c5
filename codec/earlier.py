"""Views of earlier rounds as sources of a stream: one number for a satellite and how many rounds ago.

A map, a guide and a list of participants name a source by a number. Below 1024 it is a satellite in the
stream's own round; n + 1024 a is satellite n, a rounds before. Numbers stay within the 15 bits that maps
have for owners, so a memory reaches `MAX_AGE` rounds back."""

from __future__ import annotations

from collections.abc import Iterable

from constellation.common.errors import BitstreamError

SATELLITES = 1024  # that a run may have, where sources are of earlier rounds
MAX_AGE = 31
MAX_SOURCES = 64
_DIGIT = 15  # bits of a step from one number to the next

Source = tuple[int, int]  # satellite, round


def number_of(source: Source, round: int) -> int:
    """The number by which a stream of `round` names a source. Raises ValueError for one that it cannot
    name."""
    satellite, seen = source
    if not (0 <= satellite < SATELLITES and 0 <= round - seen <= MAX_AGE):
        raise ValueError(f"satellite {satellite} in round {seen} is no source of a stream of round {round}")
    return satellite + SATELLITES * (round - seen)


def source_of_number(number: int, round: int) -> Source:
    """The satellite and the round that a stream of `round` means."""
    return number % SATELLITES, round - number // SATELLITES


def is_earlier(number: int) -> bool:
    """Whether a number means an earlier round."""
    return number >= SATELLITES


def code_of(numbers: Iterable[int]) -> int:
    """Numbers of earlier sources, ascending, as one: their steps, 15 bits each, the first lowest."""
    code, before = 0, SATELLITES - 1
    for place, number in enumerate(numbers):
        code |= number - before << _DIGIT * place
        before = number
    return code


def numbers_of(code: int) -> tuple[int, ...]:
    """Inverse of `code_of`. Raises `BitstreamError`."""
    numbers, before = [], SATELLITES - 1
    while code:
        step, code = code & (1 << _DIGIT) - 1, code >> _DIGIT
        before += step
        numbers.append(before)
        if not step or before >= SATELLITES * (MAX_AGE + 1) or len(numbers) > MAX_SOURCES:
            raise BitstreamError(f"earlier sources up to {before}, expected ascending numbers below 32768")
    return tuple(numbers)
