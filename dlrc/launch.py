"""The story of a rank: one process a satellite, and the ground beside rank 0.

    ./launch.sh --nproc 8 scenario=dense           makes the environment, then as the next line
    python launch.py --nproc 8 scenario=dense      starts torchrun in this process
    torchrun --nproc-per-node 8 launch.py scenario=dense        where installed: torchrun ... -m dlrc

A run reads top to bottom in `fly` and `listen`; what a round is, in `nodes/round.py` and
`ground/round.py`."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from constellation.common.errors import EXIT_LOST_PROCESS, UserError, user_errors_to_exit
from constellation.common.files import make_folder
from constellation.common.progress import QUIET, note, watched
from constellation.common.text import shown
from constellation.scenario.scenario import Scenario
from dlrc.commands.table import scenario_of, spelt_out
from nodes.process.rank import Rank, links_of, rank_of
from nodes.wire.stages import GROUND
from nodes.wire.watchdog import Lost

PATIENCE_S = 5.0  # who has nothing new to say leaves it to the others to speak first
BUSY_S = 60.0  # rank 0 may be computing while its ground leaves with the run's exit code


def main() -> None:
    """Be the rank that torchrun's variables name; where there are none, start the ranks."""
    try:
        with user_errors_to_exit(delay_s=0.0 if os.environ.get("RANK", "0") == "0" else PATIENCE_S):
            QUIET.set("--quiet" in sys.argv)
            options, words = split_options(_of_a_run([word for word in sys.argv[1:] if word != "--quiet"]))
            rank, scenario = rank_of(), scenario_of(words)
            if rank is not None and options:
                raise UserError(
                    f"argument {shown(options[0])}: expected key=value; torchrun's own come before"
                )
            if rank is None:
                raise SystemExit(start(scenario, options, words))
            _quieten_torch()
            parent = os.getppid()
            try:
                listen(scenario, rank) if rank.is_ground else fly(scenario, rank, words)
            except Lost as lost:
                _say(lost, rank, parent)
    except SystemExit as leaving:
        if "RANK" not in os.environ or not leaving.code:
            raise
        sys.stdout.flush()
        # No group is left to part from in peace
        os._exit(leaving.code if isinstance(leaving.code, int) else 1)


def fly(scenario: Scenario, rank: Rank, words: Sequence[str]) -> None:
    """A satellite, round after round."""
    _check_world(scenario.name, scenario.satellites, rank)
    ground = start_ground(rank, words) if rank.number == 0 else None
    try:
        with _joined(scenario, rank, frozenset({rank.number})) as group:
            if ground is not None:
                group.watch.family = lambda: "" if ground.poll() else None  # it has said why
            from nodes.round import crew_of, fly_round
            from nodes.wire.protocol import drive

            for line in scenario.notes if rank.number == 0 else ():
                note(line)
            crew = crew_of(scenario, [rank.number])
            for number in range(scenario.rounds):
                drive(fly_round(crew, number), group)
    except Lost:
        if ground is not None and _left(ground):
            raise SystemExit(ground.returncode) from None
        raise
    if ground is not None and ground.wait():  # it reports, however long that takes
        raise SystemExit(ground.returncode)


def listen(scenario: Scenario, rank: Rank) -> None:
    """The ground: decode every round by priority, rebuild the images, measure, and report."""
    from dlrc.store.recording import Recording

    parent, say = os.getppid(), functools.partial(print, flush=True)
    with _leaving_on_termination(), Recording(scenario, stored=True, say=say) as run:
        group = _joined(scenario, rank, frozenset({GROUND}))
        # No other process meets what goes wrong from here on, so it is said at once
        with user_errors_to_exit(), group:
            group.watch.family = lambda: "" if os.getppid() != parent else None  # rank 0 is gone
            from ground.round import Station, hear_round
            from nodes.process.board import load_board
            from nodes.wire.protocol import drive

            station = Station(load_board(scenario.codec))
            run.begin(station.board)
            for number in watched(range(scenario.rounds), "rounds"):
                run.add(drive(hear_round(station, number), group))
        with user_errors_to_exit():
            run.finish(group.began_s)


def start(scenario: Scenario, options: Sequence[str], words: Sequence[str]) -> int:
    """Start torchrun in this process with one rank per satellite; the exit code of the first rank that
    failed, or 0.

    options: torchrun's own; words: those that the scenario was read from. Raises `UserError` before anything
    starts."""
    _quieten_torch()
    from dlrc.commands.models import known_models
    from nodes.process.preflight import check_inputs
    from nodes.process.torchrun import run_torchrun
    from nodes.process.warm_up import warm_up

    known_models([scenario.codec.model], "codec.model")
    check_inputs(scenario)
    make_folder(Path(scenario.output))
    warm_up()
    quiet = ["--quiet"] if QUIET.get() else []
    return run_torchrun(options, scenario.satellites, [*program(), *words, *quiet])


def start_ground(rank: Rank, words: Sequence[str]) -> subprocess.Popen[bytes]:
    """The ground: this program again, as the rank after the last satellite."""
    environment = {**os.environ, "RANK": str(rank.satellites)}
    return subprocess.Popen([sys.executable, "-u", *program(), *words], env=environment)


def program() -> list[str]:
    """What runs a rank: `launch.py` of this checkout; where the package is installed, the package."""
    script = Path(__file__).resolve().parents[1] / "launch.py"
    return [str(script)] if script.is_file() else ["-m", "dlrc"]


def split_options(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """torchrun's options (leading words that start with -, with their values), and the key=value words."""
    at = 0
    while at < len(arguments) and (arguments[at].startswith("-") or "=" not in arguments[at]):
        at += 2 if arguments[at] in ("--rdzv-conf", "--rdzv_conf") else 1  # whose value has a = of its own
    return list(arguments[:at]), list(arguments[at:])


def _of_a_run(words: Sequence[str]) -> list[str]:
    return spelt_out(words[1:] if words and words[0] == "run" else words)


def _joined(scenario: Scenario, rank: Rank, nodes: frozenset[int]):
    """This process's place among the processes of the run; then the kernels, for which one of them is
    enough."""
    from nodes.process.device import device_of
    from nodes.process.warm_up import warm_up
    from nodes.wire.faults import Faults
    from nodes.wire.group import Group, Member

    if rank.number == 0:
        from nodes.process.preflight import check_inputs

        check_inputs(scenario)
    cuda = device_of(scenario.codec.device) == "cuda"
    links = links_of(rank, cuda, scenario.timeout_s)
    faults = Faults.of(scenario.ground, scenario.seed)
    group = Group(rank.number, rank.satellites + 1, Member(nodes, scenario.digest), links, faults)
    warm_up()
    return group


def _quieten_torch() -> None:
    """Before torch is imported: its own log of a failed connection is a page, and we say it in one line."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")


def _left(ground: subprocess.Popen[bytes]) -> bool:
    """Whether the ground has ended for a reason of its own, which it has said. A moment is given to it: it
    parts from the others before it leaves."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        ground.wait(timeout=0.5 * PATIENCE_S)
    return bool(ground.poll())


@contextlib.contextmanager
def _leaving_on_termination() -> Iterator[None]:
    """Let SIGTERM, which a launcher sends when another process failed, end this one as an exception: what is
    half-written is removed."""

    def leave(_signal: int, _frame: object) -> None:
        raise SystemExit(EXIT_LOST_PROCESS)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_world(name: str, satellites: int, rank: Rank) -> None:
    if satellites != rank.satellites:
        raise UserError(
            f"world size {rank.satellites}: scenario {name} has satellites={satellites}; "
            f"start {satellites} ranks or give satellites={rank.satellites}"
        )


def _say(lost: Lost, rank: Rank, parent: int) -> None:
    """Leave because another process is gone: the first who saw it says so. parent: the launcher, while it
    lives."""
    if str(lost):
        print(f"error: {lost}", file=sys.stderr, flush=True)
    elif not rank.is_ground:
        # The launcher takes the exit code of who leaves first, ends the others, and rank 0 knows why
        end = time.monotonic() + (PATIENCE_S if rank.number == 0 else BUSY_S)
        while time.monotonic() < end and os.getppid() == parent:
            time.sleep(0.2)
    raise SystemExit(EXIT_LOST_PROCESS)


if __name__ == "__main__":
    main()
