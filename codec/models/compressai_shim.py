"""Import CompressAI without what nothing here calls.

Its package imports data sets and transforms of point clouds, and with them torch_geometric, torchvision,
pandas and requests: two and a half seconds in every process of a run, where the rest takes a fraction of one.
While it is imported, empty modules stand in for these parts; afterwards they are taken away, so that whoever
asks for one has the real one.

Call `ensure_compressai()` before the first `import compressai`."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

_LEFT_OUT = ("compressai.datasets", "compressai.transforms")
_REGISTRY = "compressai.registry.transforms"  # of names; the classes are torchvision's and torch_geometric's


def ensure_compressai() -> None:
    """Import it, if nobody has."""
    if "compressai" in sys.modules:
        return
    stands_in = {name: ModuleType(name) for name in (*_LEFT_OUT, _REGISTRY)}
    stands_in[_REGISTRY].__dict__.update(TRANSFORMS={}, register_transform=lambda _name: lambda found: found)
    sys.modules.update(stands_in)
    try:
        package = importlib.import_module("compressai")
    finally:
        for name in stands_in:
            del sys.modules[name]
    for name in _LEFT_OUT:
        delattr(package, name.rpartition(".")[2])
