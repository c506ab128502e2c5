"""A bar with the time left, for whatever takes longer than five seconds."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

SHOWN_AFTER_S = 5.0
QUIET: ContextVar[bool] = ContextVar("quiet", default=False)
"""Set by the command line for `--quiet`: no bar, no notes."""


def watched(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """The items one by one, with a bar named `what` on stderr once they have taken five seconds.

    total: how many there are, where `len` cannot tell. Nothing is drawn where stderr is no terminal, with
    `--quiet`, and with NO_COLOR.
    """
    if total is None:
        total = len(items) if hasattr(items, "__len__") else None  # type: ignore[arg-type]
    with bar(what, total) as advance:
        for item in items:
            yield item
            advance()


@contextlib.contextmanager
def bar(what: str, total: int | None) -> Iterator[Callable[..., None]]:
    """A function to call after each step of the block, `advance(steps=1)`; the bar appears once the block has
    taken five seconds."""
    if not _wanted():
        yield lambda steps=1: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task, began_s = progress.add_task(what, total=total), time.monotonic()

    def advance(steps: int = 1) -> None:
        progress.advance(task, steps)
        if not progress.live.is_started and time.monotonic() - began_s > SHOWN_AFTER_S:
            progress.start()

    try:
        yield advance
    finally:
        if progress.live.is_started:
            progress.stop()


def note(text: str) -> None:
    """One line of what a user should know, on stderr; nothing with `--quiet`."""
    if not QUIET.get():
        print(f"note: {text}", file=sys.stderr, flush=True)


def _wanted() -> bool:
    return not QUIET.get() and not os.environ.get("NO_COLOR") and sys.stderr.isatty()
