"""What a command and all the processes that it starts take: wall time, CPU time, memory.

Two figures of memory. PSS (proportional set size) counts a page that n processes share as an n-th in each,
so that the sum over all processes is what they take together. RSS counts it whole in each: its sum counts
shared pages many times, and is what a run's own report adds up."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from constellation.common.errors import UserError
from constellation.common.frozen import value

LOOK_S = 0.25  # between two looks, at least; a look holds up whoever maps memory meanwhile,
SHARE = 5  # so that it takes at most a sixth of the time


@value
class Taken:
    """Of one command. wall_s, cpu_s: until its last process has ended. pss_mib: the most that all processes
    took together at one look. rss_mib: the sum of the processes' peaks of RSS. processes: at most at once.
    printed: its standard output."""

    wall_s: float
    cpu_s: float
    pss_mib: float
    rss_mib: float
    processes: int
    printed: str


def taken(command: Sequence[str], environment: Mapping[str, str] = os.environ) -> Taken:
    """Run a command and measure it. Raises `UserError` where it fails."""
    before, began_s = _children_s(), time.monotonic()
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, env=dict(environment), stdout=pipe, stderr=pipe, text=True)
    watch = _Watch(process.pid)
    watch.start()
    printed, errors = process.communicate()
    wall_s = time.monotonic() - began_s
    watch.over.set()
    watch.join()
    if process.returncode:
        said = errors.strip().splitlines() or ["no word"]
        raise UserError(f"{' '.join(command)}: exit code {process.returncode}: {said[-1][:300]}")
    rss_mib = sum(watch.peaks_kib.values()) / 1024
    cpu_s = _children_s() - before
    return Taken(wall_s, cpu_s, watch.pss_kib / 1024, rss_mib, watch.most, printed)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class _Watch(threading.Thread):
    """Looks at a process and its descendants until told that it is over."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.pss_kib, self.most = 0, 0
        self.peaks_kib: dict[int, int] = {}
        self._root = root

    def run(self) -> None:
        took_s = 0.0
        while not self.over.wait(max(LOOK_S, SHARE * took_s)):
            began_s = time.monotonic()
            family = family_of(self._root)
            self.most = max(self.most, len(family))
            self.pss_kib = max(self.pss_kib, sum(_pss_kib(pid) for pid in family))
            for pid in family:
                self.peaks_kib[pid] = max(self.peaks_kib.get(pid, 0), _peak_kib(pid))
            took_s = time.monotonic() - began_s


def family_of(root: int) -> set[int]:
    """A process and all that descend from it, as they are now."""
    found, ahead = set(), [root]
    while ahead:
        pid = ahead.pop()
        try:
            lists = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")]
        except OSError:  # it has just ended
            continue
        if lists:
            found.add(pid)
        ahead += [int(word) for text in lists for word in text.split()]
    return found


def _pss_kib(pid: int) -> int:
    return _field(pid, "smaps_rollup", "Pss:")


def _peak_kib(pid: int) -> int:
    return _field(pid, "status", "VmHWM:")


def _field(pid: int, file: str, name: str) -> int:
    try:
        with open(f"/proc/{pid}/{file}") as lines:
            return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)
    except OSError:
        return 0
