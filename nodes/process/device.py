"""Choices that every process of a run makes alike: threads and device."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path

import torch

from constellation.common.errors import UserError


def one_thread() -> None:
    """One thread per rank: eight ranks share a machine, and results must not depend on a thread count."""
    torch.set_num_threads(1)


@lru_cache(maxsize=4)
def device_of(knob: str) -> str:
    """`cpu`, or the GPU that this rank has to itself. Raises `UserError` where `cuda` is asked for and
    absent."""
    local_world = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    enough = torch.cuda.is_available() and torch.cuda.device_count() >= local_world
    if knob == "cuda" and not enough:
        raise UserError(
            f"codec.device=cuda: {torch.cuda.device_count() if torch.cuda.is_available() else 0} GPUs here, "
            f"{local_world} ranks need one each"
        )
    if knob == "cpu" or not enough:
        return "cpu"
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    return "cuda"


def peak_rss_mib() -> float:
    """Peak resident memory of this process so far, MiB. Pages that it shares with others now count by its
    share of them (PSS), so that the sum over the processes of a run is what they take together."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts KiB, macOS bytes
    peak_mib = peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return peak_mib - _others_mib(int(peak_mib) // 16)


@lru_cache(maxsize=1)
def _others_mib(_peak: int) -> float:
    """The part of this process's resident pages that others count, MiB; looked up when the peak has grown, as
    a look takes milliseconds. 0 where the system does not say."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0.0
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return (kib["Rss"] - kib["Pss"]) / 1024
