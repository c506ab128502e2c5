"""Where `dlrc`, `python -m dlrc` and `launch.py` begin."""

from __future__ import annotations

from constellation.common.errors import interrupts_leave_at_once


def main() -> None:
    """The words that the program was given. Ctrl-C prints no traceback, not even while modules are loaded."""
    with interrupts_leave_at_once():
        from dlrc.main import main as dispatch
    dispatch()


if __name__ == "__main__":
    main()
