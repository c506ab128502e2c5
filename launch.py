"""One rank of a run: a satellite, or the ground.

    torchrun --nproc-per-node 8 launch.py scenario=dense [key=value ...]     # every rank is one satellite
    python launch.py --nproc 8 scenario=dense [key=value ...]                # the same, starting torchrun itself (what launch.sh does)

Rank 0 also starts the ground, rank N of the same process group. A run reads top to bottom in `fly` and
`listen`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from constellation.common.errors import UserError, user_errors_to_exit
from constellation.scenario.scenario import Scenario, load_scenario

STARTED = time.time()
USAGE = "usage: torchrun --nproc-per-node N launch.py scenario=NAME [section.key=value ...]   (or: ./launch.sh --nproc N scenario=NAME ...)"


def main() -> None:
    with user_errors_to_exit(delay_s=0.0 if os.environ.get("RANK", "0") == "0" else 5.0):
        launcher, words = _split_options(sys.argv[1:])
        scenario = read_command(words)
        if "RANK" not in os.environ:
            raise SystemExit(start_ranks(scenario, launcher, words))
        from nodes.process.channel import Rank

        who = Rank(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
        if not who.is_ground:
            _check_world(scenario, who.satellites)
        (listen if who.is_ground else fly)(scenario, who, words)


def read_command(words: list[str]) -> Scenario:
    """The scenario that `scenario=NAME key=value ...` describes; raises `UserError`."""
    names = [word.partition("=")[2] for word in words if word.startswith("scenario=")]
    if len(names) != 1 or not names[0]:
        raise UserError(f"expected one scenario=NAME among the arguments, found {len(names)}; {USAGE}")
    return load_scenario(names[0], [word for word in words if not word.startswith("scenario=")])


def fly(scenario: Scenario, who, words: list[str]) -> None:
    """One satellite: every round, capture, analyse, exchange signatures, arbitrate, code, downlink."""
    if who.rank == 0:
        from nodes.process.preflight import check_inputs

        check_inputs(scenario)
    ground = start_ground(who, words) if who.rank == 0 else None
    from nodes.process.channel import Channel
    from nodes.process.device import device_of, peak_rss_mib
    from nodes.satellite import Satellite

    with Channel(who, scenario.timeout_s, device_of(scenario.codec.device), ground) as channel:
        satellite = Satellite(scenario, who.rank)
        for round_number in range(scenario.rounds):
            satellite.fly_round(round_number, channel)
        channel.send_bytes(json.dumps({"peak_rss_mib": peak_rss_mib()}).encode(), to=who.satellites)
        channel.barrier()
    if ground is not None and ground.wait(timeout=scenario.timeout_s) != 0:
        raise SystemExit(ground.returncode)


def listen(scenario: Scenario, who, _words: list[str]) -> None:
    """The ground: decode every round by priority, rebuild the images, measure, and write the report."""
    from ground.station import GroundStation
    from nodes.process.channel import Channel

    with Channel(who, scenario.timeout_s) as channel:
        station = GroundStation(scenario, channel, started=float(os.environ.get("DLRC_STARTED", time.time())))
        with station.folder:
            for round_number in range(scenario.rounds):
                station.hear_round(round_number)
            station.hear_farewells()
            channel.barrier()
            station.report()


def start_ground(who, words: list[str]) -> subprocess.Popen:
    """The ground process: this program again, as rank N."""
    environment = {
        **os.environ,
        "RANK": str(who.satellites),
        "DLRC_PARENT": str(os.getpid()),
        "DLRC_STARTED": str(STARTED),
    }
    return subprocess.Popen([sys.executable, os.path.abspath(__file__), *words], env=environment)


def start_ranks(scenario: Scenario, launcher: list[str], words: list[str]) -> int:
    """Start torchrun in this process with one rank per satellite; return the exit code of the first rank that
    failed."""
    from nodes.process.preflight import check_inputs, run_torchrun

    check_inputs(scenario)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    return run_torchrun(launcher, scenario, os.path.abspath(__file__), words)


def _check_world(scenario: Scenario, world: int) -> None:
    if scenario.satellites != world:
        raise UserError(
            f"world size {world}: scenario {scenario.name} has satellites={scenario.satellites}; start {scenario.satellites} ranks "
            f"or give satellites={world}"
        )


def _split_options(arguments: list[str]) -> tuple[list[str], list[str]]:
    """torchrun's options (leading words that start with -, with their values) and the key=value words."""
    at = next(
        (i for i, word in enumerate(arguments) if "=" in word and not word.startswith("-")), len(arguments)
    )
    return arguments[:at], arguments[at:]


if __name__ == "__main__":
    try:
        main()
    except SystemExit as leaving:
        if "RANK" not in os.environ or not leaving.code:
            raise
        sys.stderr.flush()
        os._exit(
            leaving.code if isinstance(leaving.code, int) else 1
        )  # at once: no group is left to part from in peace
