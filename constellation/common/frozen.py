"""Values that cross modules: frozen, compared by identity, with arrays that nobody can write to."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from typing_extensions import dataclass_transform

T = TypeVar("T")


@dataclass_transform(eq_default=False, frozen_default=True)
def value(kind: type[T]) -> type[T]:
    """Class decorator: a frozen dataclass without `==` (arrays have none that is a bool), whose arrays are read-only.

    A field's array is replaced by a read-only view of it, without a copy: its maker must not write to it afterwards.
    """
    after = getattr(kind, "__post_init__", None)

    def __post_init__(self: T) -> None:
        for part in fields(self):  # type: ignore[arg-type]
            found = getattr(self, part.name)
            if isinstance(found, np.ndarray) and found.flags.writeable:
                view = found.view()
                view.flags.writeable = False
                object.__setattr__(self, part.name, view)
        if after is not None:
            after(self)

    kind.__post_init__ = __post_init__  # type: ignore[attr-defined]
    return dataclass(frozen=True, eq=False)(kind)
