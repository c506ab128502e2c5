"""A constellation that compresses as one: fly rounds, open stored runs.

    import dlrc
    run = dlrc.run("dense", rounds=1)      # in this process
    run.show()
    same = dlrc.open("runs/dense-0123abcd")

Importing this is cheap; what flies is imported when it is first asked for."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlrc.version import __version__

if TYPE_CHECKING:
    from dlrc.local import run
    from dlrc.store.folder import open
    from dlrc.store.results import Run

__all__ = ["Run", "__version__", "open", "run"]

_WHERE = {"run": "dlrc.local", "open": "dlrc.store.folder", "Run": "dlrc.store.results"}
_NEIGHBOURS = ("constellation", "codec", "nodes", "ground")  # names that others use on PyPI, too
_PROGRAMS = ("dlrc", "launch", "-m")  # what starts them prints no traceback


def foreign_package(home: Path) -> str:
    """One line about a package that Python would import in place of ours, which lies in `home`; or
    nothing."""
    for name in _NEIGHBOURS:
        spec = find_spec(name)
        places = [] if spec is None else list(spec.submodule_search_locations or [spec.origin])
        if not any(place and Path(place).resolve() == home / name for place in places):
            found = f"{places[0]} is another project's" if places else "is missing"
            return f"the package {name}: {found}; expected it beside dlrc, in {home}"
    return ""


def _refuse_foreign_packages() -> None:
    line = foreign_package(Path(__file__).resolve().parents[1])
    if not line:
        return
    if Path(sys.argv[0] if sys.argv else "").stem in _PROGRAMS:
        print(f"error: {line}", file=sys.stderr, flush=True)
        raise SystemExit(2)
    raise ImportError(line)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module dlrc has no attribute {name!r}")
    from importlib import import_module

    from dlrc.commands.table import naming_extras

    with naming_extras(f"dlrc.{name}"):
        return getattr(import_module(_WHERE[name]), name)


_refuse_foreign_packages()
