"""Bytes from process to process: frames that say to which stage of a round they belong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nodes.wire.stages import Stage, Step

MAX_FRAME_BYTES = 1 << 34


class Frames:
    """What this process sends to other processes and hears from them: those of the other kind, satellites' or
    the ground's, unless it says so."""

    def __init__(
        self, gloo: Any, places: Sequence[int], to: Sequence[int], wait: Callable[[Callable[[], Any]], Any]
    ) -> None:
        """gloo: among the processes at `places`, in this order. to: places that each frame goes to. wait:
        runs what waits for others."""
        self._gloo, self.to, self._wait = gloo, to, wait
        self._at = {place: at for at, place in enumerate(places)}
        self._sending: list[threading.Thread] = []
        self._early: dict[
            int, tuple[Stage, dict[int, bytes]]
        ] = {}  # of a later stage, by the place that sent it

    def post(self, stage: Stage, messages: Mapping[int, bytes], to: Sequence[int] | None = None) -> None:
        """Send a frame, without waiting for anybody to take it. An empty one tells those who wait for an
        earlier stage that this process has passed it. to: other places than usual."""
        body = bytearray(packed(messages))
        head = torch.tensor([stage.round, stage.step, stage.part, len(body)], dtype=torch.int64)
        parts = [head, torch.frombuffer(body, dtype=torch.uint8)] if body else [head]
        self._sending = [thread for thread in self._sending if thread.is_alive()]
        for place in self.to if to is None else to:
            try:
                works = [self._gloo.send([part], self._at[place], 0) for part in parts]
            except (
                RuntimeError
            ):  # the connection is closed already; what that peer would answer will be missing
                continue
            self._sending.append(threading.Thread(target=_hold, args=(works, parts), daemon=True))
            self._sending[-1].start()

    def finish(self) -> None:
        """Wait for threads that hold what has been taken: the interpreter must not end beside them."""
        for thread in self._sending:
            thread.join(timeout=5.0)

    def of(self, place: int, stage: Stage) -> dict[int, bytes]:
        """What a process sends at a stage; nothing, once it is seen at a later one."""
        while True:
            if place not in self._early:
                self._early[place] = self._received(place)
            at, messages = self._early[place]
            if stage < at:
                return {}
            del self._early[place]
            if at == stage:
                return messages

    def _received(self, place: int) -> tuple[Stage, dict[int, bytes]]:
        head = torch.zeros(4, dtype=torch.int64)
        self._wait(lambda: self._gloo.recv([head], self._at[place], 0).wait())
        number, step, part, size = head.tolist()
        if not 0 <= size <= MAX_FRAME_BYTES:
            raise ValueError(f"a frame of {size} bytes, expected at most {MAX_FRAME_BYTES}")
        body = torch.empty(size, dtype=torch.uint8)
        if size:
            self._wait(lambda: self._gloo.recv([body], self._at[place], 0).wait())
        return Stage(number, Step(step), part), unpacked(body.numpy().tobytes())


def _hold(works: Sequence[Any], _parts: Sequence[torch.Tensor]) -> None:
    """Keep what is being sent alive until it is taken. A peer that is gone is noticed where its answer is
    missing."""
    try:
        for work in works:
            work.wait()
    except RuntimeError:
        return


def packed(messages: Mapping[int, bytes]) -> bytes:
    """int64 count, then int64 sender and length of each message, then the messages; nothing for none."""
    if not messages:
        return b""
    head = [len(messages)] + [number for sender, data in messages.items() for number in (sender, len(data))]
    return np.array(head, np.int64).tobytes() + b"".join(messages.values())


def unpacked(body: bytes) -> dict[int, bytes]:
    """Inverse of `packed`."""
    if not body:
        return {}
    count = int(np.frombuffer(body, np.int64, 1)[0])
    table = np.frombuffer(body, np.int64, 2 * count, offset=8).reshape(count, 2)
    ends = 8 + 16 * count + np.cumsum(table[:, 1])
    return {int(s): body[end - length : end] for (s, length), end in zip(table.tolist(), ends.tolist())}
