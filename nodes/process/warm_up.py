"""Compile all numba kernels into their cache, once: without it the first run compiles them in every rank.

`python -m nodes.process.warm_up` does it by hand."""

from __future__ import annotations

import importlib
import sys

from constellation.common import kernels

COMPILED_ON_USE = (
    "codec.entropy.coder",
    "codec.maps.coding",
)  # their `warm_up` calls kernels that importing leaves


def warm_up() -> None:
    """Nothing where the kernels are compiled. Else one process compiles them, says so on stderr, and the
    others wait for it."""
    if kernels.ready():
        return
    with kernels.compiling() as missing:
        if not missing:
            return
        print("Compiling the kernels (once; about a minute) ...", file=sys.stderr, flush=True)
        for name in kernels.modules():
            importlib.import_module(name)
        for name in COMPILED_ON_USE:
            importlib.import_module(name).warm_up()


if __name__ == "__main__":
    warm_up()
