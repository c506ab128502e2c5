"""What a fleet keeps: checkpoints are packed by processes of their own and written as pieces of limited size,
while training goes on."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

from codec.models.checkpoint import load_checkpoint, shipped_weights
from codec.models.model import LatentModel
from codec.models.shares import FLEET
from codec.training.fleet.log import Log
from codec.training.fleet.pieces import (
    LIMIT_BYTES,
    Kept,
    pack_checkpoint,
    packed_in,
    read_pieces,
    write_pieces,
)
from codec.training.fleet.plan import LEAD, FleetKeys
from constellation.common.errors import UserError

SPARE_BYTES = 1 << 20  # below LIMIT_BYTES from which mantissas are shortened
GRACE_S = 60.0  # that the last pieces may take


class Keeper:
    """Hands states to processes that pack them; `poll` writes pieces once all are packed."""

    def __init__(self, keys: FleetKeys, log: Log) -> None:
        self.keys, self.log = keys, log
        self.scratch = tempfile.TemporaryDirectory(prefix="fleet")
        context = multiprocessing.get_context("spawn")
        self.workers = ProcessPoolExecutor(keys.workers, mp_context=context)
        self.pending: list[Future[int]] = []
        self.writing: Future[int] | None = None
        self.bits = 10
        for _ in range(keys.workers):
            self.workers.submit(os.getpid)  # so that they are there when they are needed

    @property
    def busy(self) -> bool:
        """Whether some checkpoint is being packed."""
        return any(not future.done() for future in self.pending)

    def pack(self, kept: list[Kept]) -> None:
        """Begin to pack these."""
        self.pending = [
            self.workers.submit(pack_checkpoint, self.scratch.name, one, self.bits) for one in kept
        ]

    def poll(self) -> bool:
        """Write pieces once all are packed. Returns whether all runs have to be handed over again, in fewer
        bits, because they do not fit."""
        if self.writing is not None and self.writing.done():
            self.log.say(f"pieces written, {self.writing.result() / 2**20:.1f} MiB in all")
            self.writing = None
        if not self.pending or self.busy or self.writing is not None:
            return False
        for future in self.pending:
            if future.exception() is not None:
                self.log.say(f"note: a checkpoint was not packed ({future.exception()})")
        self.pending = []
        total = sum(path.stat().st_size for path in packed_in(self.scratch.name))
        if total > LIMIT_BYTES - SPARE_BYTES and self.bits > 8:
            self.bits -= 1
            self.log.say(f"{total / 2**20:.1f} MiB: mantissas of {self.bits} bits from now on")
            if total > LIMIT_BYTES:
                return True
        self.writing = self.workers.submit(write_pieces, self.scratch.name, self.keys.out)
        return False

    @property
    def done(self) -> bool:
        """Whether everything is on the disk, or the time for it is over."""
        over = self.log.elapsed_s >= self.keys.minutes * 60 + GRACE_S
        return over or not (self.pending or self.writing)

    def close(self) -> None:
        """End the processes."""
        self.workers.shutdown(cancel_futures=True)
        self.scratch.cleanup()

    def earlier(self) -> dict[str, LatentModel]:
        """Trained codecs to go on from, by label: of an earlier run, or what ships; those of other widths are
        left out."""
        known = {}
        if self.keys.init == "shipped":
            for name in (name for name in self.keys.models if not FLEET[name].teacher):
                try:
                    model, info = load_checkpoint(shipped_weights(name, LEAD))
                except UserError as error:
                    self.log.say(f"note: {error}; it starts from the pictures")
                    continue
                if info.widths == self.keys.shape(name):
                    known[f"{name}_lambda{LEAD:g}"] = model
        for name, content in (read_pieces(self.keys.resume) if self.keys.resume else {}).items():
            path = Path(self.scratch.name) / name
            path.write_bytes(content)
            model, info = load_checkpoint(path)
            path.unlink()
            if info.widths == self.keys.shape(info.model):
                known[f"{info.model}_lambda{info.lambda_:g}"] = model
        return known


def wait(keeper: Keeper, until: float) -> None:
    """Wait until nothing is being packed, at most until this share of the time."""
    while keeper.busy and keeper.log.progress < until:
        time.sleep(0.1)
