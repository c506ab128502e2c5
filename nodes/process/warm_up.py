"""Compile the numba kernels once, into their on-disk cache: `python -m nodes.process.warm_up`, part of the
set-up.

Without it the first run compiles them in every rank at once. A cached kernel knows the age of its own file
alone, not of the files whose kernels it has inlined, so the cache is emptied first."""

from __future__ import annotations

import importlib
from pathlib import Path

MODULES = (
    "codec.entropy.rans",
    "codec.entropy.exact",
    "codec.entropy.schedule",
    "codec.entropy.coder",
    "codec.maps.coding",
    "nodes.recognizer",
)


PACKAGES = ("codec", "nodes", "constellation")


def empty_cache() -> None:
    """Remove the compiled kernels beside the sources."""
    for package in PACKAGES:
        for path in (Path(__file__).resolve().parents[2] / package).rglob("__pycache__/*.nb[ic]"):
            path.unlink(missing_ok=True)


def warm_up() -> None:
    """Import every module with compiled kernels, and call its own `warm_up` where it has one."""
    for name in MODULES:
        module = importlib.import_module(name)
        getattr(module, "warm_up", lambda: None)()


if __name__ == "__main__":
    empty_cache()
    warm_up()
