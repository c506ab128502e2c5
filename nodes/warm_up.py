"""Compile the numba kernels once, into their on-disk cache: `python -m nodes.warm_up`, part of the set-up.

Without it the first run compiles them in every rank at once.
"""

from __future__ import annotations

import importlib

MODULES = ("codec.rans", "codec.portable", "codec.schedule", "codec.entropy", "codec.mapcoder", "nodes.recognizer")


def warm_up() -> None:
    """Import every module with compiled kernels, and call its own `warm_up` where it has one."""
    for name in MODULES:
        module = importlib.import_module(name)
        getattr(module, "warm_up", lambda: None)()


if __name__ == "__main__":
    warm_up()
