"""Where numba keeps the compiled kernels: in the environment, in a folder of this checkout.

The packages call `place` when they are imported, before numba is. A kernel that numba finds in its cache
knows the age of its own file alone, not of the files whose kernels it has inlined. So the cache has a stamp,
a digest of all sources with kernels; where it does not fit, the cache is emptied and filled anew."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("constellation", "codec", "nodes")  # those with kernels
_VARIABLE = "NUMBA_CACHE_DIR"


def place() -> None:
    """Tell numba, here and in the processes that this one starts, where its cache is. A user's own choice
    (`NUMBA_CACHE_DIR`) stands."""
    if not os.environ.get(_VARIABLE):
        os.environ[_VARIABLE] = str(_folder())
    if "numba" in sys.modules:  # a notebook has read the variables before us
        sys.modules["numba"].config.CACHE_DIR = os.environ[_VARIABLE]


def ready() -> bool:
    """Whether all kernels of these sources are in the cache."""
    try:
        return _stamp().read_text() == _digest()
    except OSError:
        return False


@contextlib.contextmanager
def compiling() -> Iterator[bool]:
    """For who compiles all kernels: one process at a time. Yields whether they are missing; the cache is
    empty then."""
    with open(_stamp().with_name(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready():
            yield False
            return
        for path in _stamp().parent.rglob("*.nb[ic]"):
            path.unlink(missing_ok=True)
        yield True
        _stamp().write_text(_digest())


def _stamp() -> Path:
    return (
        Path(os.environ[_VARIABLE]) / f".ready-{_checkout()}"
    )  # a folder of the user's may serve two checkouts


def _checkout() -> str:
    return hashlib.sha256(str(_ROOT).encode()).hexdigest()[:12]


def modules() -> list[str]:
    """Names of all modules that hold kernels; importing one compiles those that say their types."""
    found = [path for path in _sources() if b"@numba.njit" in path.read_bytes()]
    return [".".join(path.relative_to(_ROOT).with_suffix("").parts) for path in found]


@lru_cache(maxsize=1)
def _digest() -> str:
    """Of every source with kernels, in 12 hexadecimal digits."""
    found = hashlib.sha256()
    for path in _sources():
        source = path.read_bytes()
        if b"numba" in source:
            found.update(source)
    return found.hexdigest()[:12]


def _sources() -> list[Path]:
    return [path for package in _PACKAGES for path in sorted((_ROOT / package).rglob("*.py"))]


def _folder() -> Path:
    """The cache's folder: in the environment, else where only this user writes."""
    private = Path(tempfile.gettempdir()) / f"dlrc-kernels-{os.geteuid()}"
    for home in (Path(sys.prefix) / "share" / "dlrc" / "kernels", private):
        folder = home / _checkout()
        with contextlib.suppress(OSError):
            home.mkdir(mode=0o700 if home == private else 0o755, parents=True, exist_ok=True)
            if home == private and not _is_ours(home):
                continue
            folder.mkdir(exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
    return Path(tempfile.mkdtemp(prefix="dlrc-kernels-"))


def _is_ours(folder: Path) -> bool:
    """Whether nobody else can put code there: a cached kernel is machine code, and /tmp is everybody's."""
    found = folder.lstat()
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.geteuid()
        and not stat.S_IMODE(found.st_mode) & 0o022
    )
