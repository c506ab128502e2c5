"""Real accidents in every stage of a run, and what is left of it.

    dlrc bench faults                 the matrix: every stage x who is struck x how
    dlrc bench faults victims=ground stages=coding

A process of a launched run is killed (SIGKILL), stopped (SIGSTOP), or cut off (all its TCP connections are
shut down) when a satellite reaches a stage; a round for each accident. Where a keeper or the launcher is
struck, the run ends by it, and is resumed until the next. A row passes when the run's folder is equal to the
byte, file by file, to that of a run that nothing befell (but for `cost.json` and the page, which hold wall
time), every stream decoded exactly, and bytes sent are bytes received and lost."""

from __future__ import annotations

import ctypes
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

import dlrc
import dlrc.launch
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.knobs import Knobs, Several
from dlrc.store.manifest import verify

ROOT = Path(__file__).resolve().parents[1]

PLAN = "DLRC_STRIKE"  # in the environment of a run that is to be struck
STAGES = {"capture": "HEADERS", "exchange": "EXCHANGE", "coding": "DOWNLINK", "downlink": "WITNESS"}
SMALL = ["scenario=smoke", "capture.patch_px=128", "capture.window_px=192", "scene.size_px=384"]
OF_THE_HOST = ("cost.json", "index.html", "page.html")
FATAL = ("keeper", "launcher")  # of whom nobody takes the place
_PIDFD_GETFD = 438


class FaultKeys(Knobs):
    """Keys of this command."""

    victims: Several[Literal["satellite", "first", "ground", "keeper", "launcher"]] = (
        "satellite", "first", "ground", "keeper", "launcher",
    )  # fmt: skip
    """who is struck; first: the satellite of highest priority"""
    stages: Several[Literal["capture", "exchange", "coding", "downlink"]] = (
        "capture", "exchange", "coding", "downlink",
    )  # fmt: skip
    """when"""
    ways: Several[Literal["kill", "stop", "cut"]] = ("kill", "stop", "cut")
    """how"""
    satellites: Annotated[int, Field(ge=2, le=64)] = 3
    """of each run"""
    timeout_s: Annotated[float, Field(ge=1, le=3600)] = 8.0
    """after which a silent process is given up"""


@dataclass(frozen=True)
class Strike:
    """One accident. victim, way: as in the command. step: of satellite `place` in round `number`, before
    which it happens. mark: a file that says that it has."""

    victim: str
    way: str
    step: str
    place: int
    number: int
    mark: str


# ---------------------------------------------------------------- in a run that is struck


def be_struck() -> None:
    """The program itself, whose processes strike as the plan says."""
    from dlrc.__main__ import main

    dlrc.launch.RANK = struck_rank
    main()


def struck_rank(*given) -> None:
    from nodes.process import keeper
    from nodes.wire.group import Group

    plan = [Strike(**one) for one in json.loads(os.environ[PLAN])]
    keeper.RESTARTS = 10**6  # of a child that is struck in round after round
    exchange = Group.exchange

    @functools.wraps(exchange)
    def struck(self, send):
        stage = send.stage
        for strike in plan:
            if (self._place, stage.round, stage.step.name) == (strike.place, strike.number, strike.step):
                _strike_once(strike)
        return exchange(self, send)

    Group.exchange = struck
    dlrc.launch.be_rank(*given)


def _strike_once(strike: Strike) -> None:
    try:
        os.close(os.open(strike.mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    pid = _pid_of(strike.victim)
    if strike.way == "cut":
        cut_off(pid)
    else:
        os.kill(pid, signal.SIGKILL if strike.way == "kill" else signal.SIGSTOP)
        if pid == os.getpid():
            time.sleep(60)


def _pid_of(victim: str) -> int:
    """A process of this run, as seen by a satellite of rank 0, or by the struck one."""
    keeper = os.getppid()
    if victim == "ground":
        children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
        return next(int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == victim)
    if victim == "launcher":  # of the server that forked the keeper
        return _parent_of(_parent_of(keeper))
    return keeper if victim == "keeper" else os.getpid()


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def cut_off(pid: int) -> None:
    """Shut down every TCP connection of a process; what listens goes on."""
    library, handle = ctypes.CDLL(None, use_errno=True), os.pidfd_open(pid)
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                continue
            copy = library.syscall(_PIDFD_GETFD, handle, int(name), 0)
            with socket.socket(fileno=copy) as connection:
                if not connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue
    os.close(handle)


# ---------------------------------------------------------------- around it


def row_of(victim: str, own: FaultKeys, folder: Path) -> list[Strike]:
    """A victim's accidents, from round 1 on."""
    kinds = [(stage, way) for way in own.ways for stage in own.stages if (victim, way) != ("keeper", "cut")]
    place = own.satellites - 1 if victim == "satellite" else 0
    return [
        Strike(victim, way, STAGES[stage], place, number, str(folder / f"{victim}-{stage}-{way}"))
        for number, (stage, way) in enumerate(kinds, start=1)
    ]


def fly(words: Sequence[str], folder: Path, plan: Sequence[Strike] = ()) -> subprocess.CompletedProcess[str]:
    """A launched run in a folder; struck, or not."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if plan:
        environment[PLAN] = json.dumps([asdict(strike) for strike in plan])
        environment["PYTHONPATH"] = str(ROOT)
    folder.mkdir(parents=True, exist_ok=True)
    line = [sys.executable, "-u", __file__ if plan else str(ROOT / "launch.py"), *words, "output=runs"]
    process = subprocess.Popen(
        line, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    printed = _waited_for(process, plan)
    return subprocess.CompletedProcess(line, process.returncode, printed)


def _waited_for(process: subprocess.Popen[str], plan: Sequence[Strike]) -> str:
    """What a run prints until it ends. A launcher or keeper that was stopped is left alone until nobody else
    is at work, and then ended, as somebody would who finds it."""
    if not plan or plan[0].way != "stop" or not is_fatal(plan[0]):
        return process.communicate(timeout=1800)[0]
    while process.poll() is None:
        time.sleep(0.2)
        states = _children(process.pid)
        if os.path.exists(plan[0].mark) and set(states.values()) <= {"T"}:
            for one in (*states, process.pid):
                os.kill(one, signal.SIGKILL)
    return process.communicate()[0]


def _children(pid: int) -> dict[int, str]:
    """Of a process, but those that wait to be buried, and the state of each (proc(5))."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        states = {
            int(one): Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[0] for one in found
        }
    except OSError:
        return {}
    return {one: state for one, state in states.items() if state != "Z"}


def run_in(folder: Path) -> Path:
    """The one run in a folder."""
    (run,) = (path for path in (folder / "runs").iterdir() if path.is_dir())
    return run


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the one run in a folder, but those that hold wall time."""
    run = run_in(folder)
    files = [path for path in run.rglob("*") if path.is_file() and path.name not in OF_THE_HOST]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def is_fatal(strike: Strike) -> bool:
    """Whether a run ends by it. Without its connections the launcher goes on."""
    return strike.victim in FATAL and strike.way != "cut"


def folder_of(strike: Strike, folder: Path) -> Path:
    """Where the run of an accident lies: one that ends its run has a run of its own, others share one."""
    return folder / str(strike.number) if is_fatal(strike) else folder / "shared"


def struck_run(plan: Sequence[Strike], words: Sequence[str], sound: dict[str, bytes]) -> str:
    """Fly accidents of one run, resume it where they end it, and compare it with one that nothing befell;
    what is wrong, or nothing."""
    folder = Path(plan[0].mark).parent / folder_of(plan[0], Path(plan[0].victim))
    done = fly(words, folder, plan)
    if missed := [strike for strike in plan if not os.path.exists(strike.mark)]:
        return f"{missed[0].mark} was not struck: {done.stdout[-2000:]}"
    if done.returncode and not is_fatal(plan[0]):
        return f"ended with {done.returncode}: {done.stdout[-2000:]}"
    if done.returncode:
        done = fly([*words, "resume=true"], folder)
    wrong = f"resume ended with {done.returncode}: {done.stdout[-2000:]}" if done.returncode else ""
    return wrong or differences(folder, sound)


def row_fault(row: Sequence[Strike], words: Sequence[str], sound: dict[str, bytes]) -> str:
    """What is wrong with a row's runs, or nothing."""
    plans: dict[Path, list[Strike]] = {}
    for strike in row:
        plans.setdefault(folder_of(strike, Path()), []).append(strike)
    return "; ".join(filter(None, (struck_run(plan, words, sound) for plan in plans.values())))


def differences(folder: Path, sound: dict[str, bytes]) -> str:
    """Between a run and one that nothing befell; or nothing."""
    found = contents(folder)
    if other := sorted(name for name in sound.keys() | found.keys() if sound.get(name) != found.get(name)):
        return f"other files: {', '.join(other[:4])}"
    run = run_in(folder)
    records = [one for record in dlrc.open(run).rounds for one in record.satellites]
    if verify(run) or not all(one.exact for one in records):
        return "streams that are not exact, or a folder that is not whole"
    return ""


def took_s(strike: Strike, folder: Path) -> float:
    """From an accident until its round was there."""
    run = run_in(folder)
    written = run / "rounds" / f"{strike.number:03d}" / "record.json"
    return written.stat().st_mtime - os.stat(strike.mark).st_mtime


def row_text(row: Sequence[Strike], folder: Path, fault: str) -> list[str]:
    """A line for each way: the seconds of each stage."""
    lines = []
    for way in dict.fromkeys(strike.way for strike in row):
        same = [] if fault else [one for one in row if one.way == way]
        cells = [f"{took_s(one, folder_of(one, folder)):.1f} s" for one in same]
        how = "FAILED" if fault else "resumed" if row[0].victim in FATAL and way != "cut" else "survived"
        lines.append(f"| {row[0].victim} | {way} | {how} | " + " | ".join(cells) + " |")
    return lines


def run(given: Given) -> None:
    """Fly the matrix, and print it."""
    own: FaultKeys = given.own
    rounds = len(own.ways) * len(own.stages) + 2
    words = [*SMALL, f"satellites={own.satellites}", f"timeout_s={own.timeout_s:g}", f"rounds={rounds}"]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="dlrc_") as name:
        folder = Path(name)
        done = fly(words, folder / "sound")
        if done.returncode:
            raise UserError(f"the run that nothing befalls ended with {done.returncode}: {done.stdout}")
        sound = contents(folder / "sound")
        stages = " | ".join(own.stages)
        print(f"| struck | how | the run | {stages} |\n|" + " --- |" * (3 + len(own.stages)), flush=True)
        for victim in own.victims:
            row = row_of(victim, own, folder)
            fault = row_fault(row, words, sound)
            print("\n".join(row_text(row, folder / victim, fault)), flush=True)
            print(fault, end="\n" if fault else "", file=sys.stderr, flush=True)
            failed += bool(fault)
    print(f"\n{failed} of {len(own.victims)} rows lost or different; the others equal to the byte")
    if failed:
        raise SystemExit(1)


COMMAND = Command(
    name="bench faults",
    about=__doc__ or "",
    own=FaultKeys,
    work=run,
    examples=("dlrc bench faults", "dlrc bench faults victims=ground ways=kill"),
)

if __name__ == "__main__":
    be_struck() if PLAN in os.environ else main_of(COMMAND)
