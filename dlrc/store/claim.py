"""Who writes into a folder: one process, which holds a lock on it while it lives.

The lock is the kernel's (flock), so it ends with its process, however that ends, and nobody guesses from a
process number. Beside it stands who holds it, for people, and for hosts that do not see each other's locks:
what another host has begun is never taken for dead."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import pwd
import shutil
import socket
from datetime import datetime, timezone
from pathlib import Path

from constellation.common.errors import UserError
from constellation.common.files import refused_by_disk
from constellation.common.text import shown

NAME = "writer.json"


class Busy(UserError):
    """Another process of this host writes into the folder."""


class Claim:
    """A folder that this process writes into, empty when it is claimed.

    Raises `UserError` where somebody else is at it, or may be; what a dead process of this host has left is
    removed, or stays where it is to be gone on with (`keep`)."""

    def __init__(self, folder: Path, keep: bool = False) -> None:
        self.folder = folder
        with refused_by_disk(str(folder)):
            self._descriptor = self._locked()
            try:
                self._refuse_other_hosts()
                for left in () if keep else folder.iterdir():
                    if left.name != NAME:
                        shutil.rmtree(left) if left.is_dir() else left.unlink()
                self._sign(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": now()}))
            except BaseException:
                os.close(self._descriptor)
                raise

    def _locked(self) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                descriptor = os.open(self.folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)
            except PermissionError:
                raise UserError(f"{self.folder}: a run of user {_owner(self.folder)}; {_REMEDY}") from None
            except FileNotFoundError:  # finished and renamed meanwhile
                self.folder.mkdir(parents=True, exist_ok=True)
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                who = _who(descriptor)
                os.close(descriptor)
                raise Busy(f"{self.folder}: the same run is being flown already{who}") from None
            except OSError:  # a file system without locks: only what is written there says something
                pass
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(descriptor), os.stat(self.folder / NAME)):
                    return descriptor
            os.close(descriptor)  # the folder that was locked is no longer this one

    def _refuse_other_hosts(self) -> None:
        told = _told(self._descriptor)
        if told and told.get("host") != socket.gethostname():
            raise UserError(f"{self.folder}: begun{_who(self._descriptor)}; {_REMEDY}")

    def _sign(self, text: str) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def leave(self, keep: bool) -> None:
        """Write no more. keep: what stands in the folder; else the folder goes."""
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def take_back(hidden: str, part: Path, target: Path) -> None:
    """Give a finished folder that was left under a hidden name, by a process that is gone, the name `part`
    again; where there is a `target`, it is the older of two equal runs, and goes. hidden: a pattern."""
    for left in part.parent.glob(hidden):
        with contextlib.suppress(OSError), (left / NAME).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # else somebody is at it
            if part.exists() or target.exists():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.rename(part)


def put_in_place(new: Path, target: Path) -> None:
    """Give the folder `new` the name `target`; what had it before goes. Whoever looks sees one or the other.

    Raises `OSError` where that fails, and then nothing has changed."""
    if not target.exists():
        new.rename(target)
        return
    if _exchange(new, target):
        old = new
    else:  # a file system that cannot: for an instant, neither is there
        old = new.with_name(new.name + ".old")
        target.rename(old)
        try:
            new.rename(target)
        except OSError:
            old.rename(target)
            raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(a: Path, b: Path) -> bool:
    """Linux's renameat2 with RENAME_EXCHANGE; whether it could."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return rename is not None and rename(-100, os.fsencode(a), -100, os.fsencode(b), 2) == 0


_REMEDY = "if that has ended, remove the folder; else give another output="


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _told(descriptor: int) -> dict[str, object]:
    try:
        told = json.loads(os.pread(descriptor, 4096, 0))
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _who(descriptor: int) -> str:
    told = _told(descriptor)
    return "".join(
        f", {word} {shown(told[key])}"
        for word, key in (("on host", "host"), ("by process", "pid"), ("since", "since"))
        if key in told
    )


def _owner(path: Path) -> str:
    number = path.stat().st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
