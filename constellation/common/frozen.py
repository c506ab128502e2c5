"""Values that cross modules: frozen, compared by identity, with arrays that nobody can write to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from typing_extensions import dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, eq_default=False)
def value(cls: type[T]) -> type[T]:
    """Class decorator: a frozen dataclass without `==`, whose arrays are read-only.

    Every field that is an array becomes a view of it that cannot be written through; so do the arrays within
    a tuple, and those that are the values of a mapping (which becomes one that cannot be written to). Nothing
    is copied: who made the array keeps the right to write to it, and should not use it. Without `==`, because
    an equality of arrays is an array; a value is a dictionary's key by identity.
    """
    before: Callable[[Any], None] | None = getattr(cls, "__post_init__", None)

    def freeze(self: Any) -> None:
        if before is not None:
            before(self)
        for field in dataclasses.fields(self):
            held = getattr(self, field.name)
            frozen = read_only(held)
            if frozen is not held:
                object.__setattr__(self, field.name, frozen)

    cls.__post_init__ = freeze  # type: ignore[attr-defined]
    return dataclasses.dataclass(frozen=True, eq=False)(cls)


def read_only(held: Any) -> Any:
    """The same with arrays that cannot be written to; anything else as it is."""
    if isinstance(held, np.ndarray):
        if not held.flags.writeable:
            return held
        view = held.view()
        view.flags.writeable = False
        return view
    if type(held) is tuple:
        frozen = tuple(read_only(part) for part in held)
        return frozen if any(new is not old for new, old in zip(frozen, held, strict=True)) else held
    if isinstance(held, Mapping) and not isinstance(held, MappingProxyType):
        return MappingProxyType({key: read_only(part) for key, part in held.items()})
    return held
