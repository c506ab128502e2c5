"""Where `dlrc`, `python -m dlrc` and `launch.py` begin."""

from __future__ import annotations

import os
import signal

from constellation.common.errors import EXIT_INTERRUPTED


def main() -> None:
    """The words that the program was given. Ctrl-C prints no traceback, not even while modules are loaded."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(EXIT_INTERRUPTED))
    from dlrc.main import main as dispatch

    signal.signal(signal.SIGINT, signal.default_int_handler)
    dispatch()


if __name__ == "__main__":
    main()
