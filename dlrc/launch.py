"""The story of a rank: a keeper, whose child flies its satellites; rank 0's other child is the ground.

    ./launch.sh --nproc 8 scenario=dense           makes the environment, then as the next line
    python launch.py --nproc 8 scenario=dense      starts torchrun in this process
    torchrun --nproc-per-node 8 launch.py scenario=dense        where installed: torchrun ... -m dlrc

A run reads top to bottom in `fly` and `listen`; what a round is, in `nodes/round.py` and
`ground/round.py`; who is looked after how, in `nodes/process/keeper.py`."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from constellation.common.errors import (
    EXIT_LOST_PROCESS,
    UserError,
    interrupts_leave_at_once,
    user_errors_to_exit,
)
from constellation.common.files import make_folder
from constellation.common.progress import QUIET, note, watched
from constellation.common.text import shown
from constellation.scenario.scenario import Scenario
from dlrc.commands.table import scenario_of, spelt_out
from nodes.process.keeper import Charge, Keeper, Return
from nodes.process.rank import Rank, hold_store, links_of, rank_of
from nodes.process.server import serving
from nodes.wire.stages import GROUND
from nodes.wire.watchdog import Lost

if TYPE_CHECKING:
    from nodes.wire.group import Group

_OF_ALL = ("nodes.round", "nodes.wire.group", "nodes.process.preflight", "codec.imagery.procedural")
_OF_THE_GROUND = ("ground.round", "dlrc.store.recording")
LEAST_SILENCE_S = 10.0  # of a child, as a busy machine may keep it from beating
PATIENCE_S = 5.0  # who has nothing new to say leaves it to the others to speak first


def main() -> None:
    """Be the rank that torchrun's variables name; where there are none, start the ranks."""
    with user_errors_to_exit(delay_s=0.0 if os.environ.get("RANK", "0") == "0" else PATIENCE_S):
        QUIET.set("--quiet" in sys.argv)
        options, words = split_options(_of_a_run([word for word in sys.argv[1:] if word != "--quiet"]))
        rank, scenario = rank_of(), scenario_of(words)
        if rank is not None and options:
            raise UserError(f"argument {shown(options[0])}: expected key=value; torchrun's own come before")
        if rank is None:
            raise SystemExit(start(scenario, options, words))
        _check_world(scenario, rank)
        _quieten_torch()
        import_everything(ground=rank.number == 0)
        raise SystemExit(keep(scenario, rank, os.getppid()))


def be_rank(words: Sequence[str], quiet: bool, launcher: int) -> None:
    """Be the rank that torchrun's variables name, in a process forked from the launch's server. words: of the
    scenario; launcher: the process id of who started it."""
    with user_errors_to_exit(delay_s=0.0 if os.environ["RANK"] == "0" else PATIENCE_S):
        QUIET.set(quiet)
        rank, scenario = rank_of(), scenario_of(words)
        assert rank is not None
        _check_world(scenario, rank)
        if code := keep(scenario, rank, launcher):
            raise SystemExit(code)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # it waits for the others inside torch, and may be ended


RANK = be_rank  # what a launch starts as a rank


def keep(scenario: Scenario, rank: Rank, launcher: int) -> int:
    """Look after this rank's processes; the exit code of the one that failed, or 0."""
    name = f"{'satellite' if scenario.satellites_per_rank == 1 else 'rank'} {rank.number}"
    charges = [Charge(name, _quietly(fly, scenario, rank), _quietly(bury, scenario, rank))]
    if rank.number == 0:
        charges.append(Charge("ground", _quietly(listen, scenario, rank.ground, time.monotonic())))
        if not rank.agent:
            charges.insert(0, Charge("store", _quietly(hold_store, rank), serves=True))
    return Keeper(charges, max(scenario.timeout_s, LEAST_SILENCE_S), launcher).run()


def fly(scenario: Scenario, rank: Rank, back: Return) -> None:
    """A rank's satellites, round after round; from the round that the ground is in, whenever all meet
    again."""
    numbers = scenario.crew_of_rank(rank.number)
    with _joining(scenario, rank, frozenset(numbers), back) as group:
        from dlrc.store.recall import remember
        from nodes.round import crew_of, fly_round
        from nodes.wire.meeting import Disturbed
        from nodes.wire.protocol import drive

        if rank.number == 0 and not back.attempt:
            for line in scenario.notes:
                note(line)
        crew = crew_of(scenario, numbers)
        while (number := group.meet()) is not None:
            crew.watch.forget()
            remember(crew.memory, scenario, crew.board, number)
            with contextlib.suppress(Disturbed):
                for one in range(number, scenario.rounds):
                    drive(fly_round(crew, one), group)
                group.wait_until_over()


def listen(scenario: Scenario, rank: Rank, began_s: float, back: Return) -> None:
    """The ground: decode every round by priority, rebuild the images, measure, and report."""
    from dlrc.store.cost import Mishap
    from dlrc.store.recall import remember
    from dlrc.store.recording import Recording
    from ground.round import hear_round, station_of
    from nodes.process.board import load_board
    from nodes.wire.meeting import Disturbed
    from nodes.wire.protocol import drive

    say = functools.partial(print, flush=True)
    with _leaving_on_termination(), Recording(scenario, True, say, back=back.attempt > 0) as run:
        with _joining(scenario, rank, frozenset({GROUND}), back) as group:
            station = station_of(load_board(scenario.codec), scenario)
            # No other process meets what goes wrong from here on, so it is said at once
            with user_errors_to_exit():
                run.begin(station.board)
                told = 0
                while group.meet(run.next) is not None:
                    told = _tell(group, told, run.next, say)
                    remember(station.memory, scenario, station.board, run.next)
                    with contextlib.suppress(Disturbed):
                        for number in watched(range(run.next, scenario.rounds), "rounds"):
                            run.add(drive(hear_round(station, number), group))
                        group.close()
        with user_errors_to_exit():
            found = [Mishap(who=one.who, what=one.what, cost_s=one.cost_s) for one in group.accidents()]
            run.finish(began_s, accidents=found)


def bury(scenario: Scenario, rank: Rank, back: Return) -> None:
    """Tell the others that this rank's satellites will not come back."""
    from nodes.wire.group import Group, Member
    from nodes.wire.meeting import Accident

    member = Member(frozenset(scenario.crew_of_rank(rank.number)))
    links = links_of(rank, False, scenario.timeout_s)
    with Group(rank.number, rank.ranks + 1, member, links) as group:
        group.record(Accident(member.name, f"{back.why}, for the last time: given up"))
        group.bury()


def start(scenario: Scenario, options: Sequence[str], words: Sequence[str]) -> int:
    """Start torchrun in this process, with the ranks that the scenario asks for; the exit code of the first
    rank that failed, or 0.

    options: torchrun's own; words: those that the scenario was read from. Raises `UserError` before anything
    starts."""
    _quieten_torch()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from dlrc.commands.models import known_models
    from ground.compensation.apply import check_compensation
    from nodes.process.preflight import check_inputs
    from nodes.process.torchrun import run_torchrun

    known_models([scenario.codec.model], "codec.model")
    known_models(scenario.codec.flown, "codec.models")
    with interrupts_leave_at_once():
        import_everything()
    with serving():  # forked before what follows may start a thread or ask for a GPU
        check_inputs(scenario)
        check_compensation(scenario)
        make_folder(Path(scenario.output))
        return run_torchrun(options, scenario, RANK, (list(words), QUIET.get(), os.getpid()))


def split_options(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """torchrun's options (leading words that start with -, with their values), and the key=value words."""
    at = 0
    while at < len(arguments) and (arguments[at].startswith("-") or "=" not in arguments[at]):
        at += 2 if arguments[at] in ("--rdzv-conf", "--rdzv_conf") else 1  # whose value has a = of its own
    return list(arguments[:at]), list(arguments[at:])


def _of_a_run(words: Sequence[str]) -> list[str]:
    return spelt_out(words[1:] if words and words[0] == "run" else words)


@contextlib.contextmanager
def _joining(scenario: Scenario, rank: Rank, nodes: frozenset[int], back: Return) -> Iterator[Group]:
    """This process's place among the processes of the run."""
    from nodes.process.device import device_of
    from nodes.wire.group import Group, Member
    from nodes.wire.meeting import Accident
    from nodes.wire.schedule import faults_of_run

    if rank.number == 0:
        from nodes.process.preflight import check_inputs

        check_inputs(scenario)
    cuda = device_of(scenario.codec.device) == "cuda"
    links = links_of(rank, cuda, scenario.timeout_s)
    size = scenario.satellites, scenario.rounds
    faults = faults_of_run(scenario.faults, scenario.ground, size, scenario.orbit.step_s, scenario.seed)
    member = Member(nodes, scenario.digest)
    with Group(rank.number, rank.ranks + 1, member, links, faults) as group:
        if back.attempt:
            group.record(Accident(member.name, back.why, time.monotonic() - back.lost_s))
        yield group


def _tell(group: Group, told: int, number: int, say) -> int:
    """Say what has happened to hosts since the last meeting; how many accidents have been told."""
    accidents = group.accidents()
    for one in accidents[told:]:
        after = f", and is back after {one.cost_s:.1f} s" if one.cost_s else ""
        say(f"  {one.who} {one.what}{after}; round {number + 1} begins again")
    return len(accidents)


def import_everything(ground: bool = True) -> None:
    """What the children need, once; nothing of it starts a thread. The kernels are compiled, for which one
    process of the run is enough. ground: that of the ground, too."""
    from codec.models.compressai_shim import ensure_compressai
    from nodes.process.warm_up import warm_up

    warm_up()
    ensure_compressai()
    for name in _OF_ALL + (_OF_THE_GROUND if ground else ()):
        import_module(name)


def _quietly(work, *given):
    """A child's work: bad input is one line, said by the first who meets it, and so is the end of a run."""

    def run(back: Return) -> None:
        rank = next(one for one in given if isinstance(one, Rank))
        with user_errors_to_exit(delay_s=0.0 if rank.number == 0 else PATIENCE_S):
            try:
                work(*given, back)
            except Lost as lost:
                if str(lost):
                    print(f"error: {lost}", file=sys.stderr, flush=True)
                raise SystemExit(EXIT_LOST_PROCESS) from None

    return run


def _quieten_torch() -> None:
    """Before torch is imported: its own log of a failed connection is a page, and we say it in one line."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")


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


def _check_world(scenario: Scenario, rank: Rank) -> None:
    if scenario.ranks != rank.ranks:
        has, fitting = scenario.said_of_ranks(rank.ranks)
        raise UserError(
            f"world size {rank.ranks}: scenario {scenario.name} has {has}; "
            f"start {scenario.ranks} ranks or give {fitting}"
        )


if __name__ == "__main__":
    main()
