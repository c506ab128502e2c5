"""Real processes over Gloo: they hear what `together` says, wait for a slow one, and name one that is
gone."""

import multiprocessing
import os
import re
import signal
import socket
import time
from datetime import timedelta
from functools import partial

import pytest

from nodes.wire.frames import Frames
from nodes.wire.protocol import drive, together
from nodes.wire.stages import GROUND, Send, Stage, Step
from nodes.wire.watchdog import Lost
from tests.nodes.wire.wire_cases import CREWS, FAULTS, ROUNDS, side_of

PARTS = [*CREWS, (GROUND,)]


def links(port, case, timeout_s):
    """How processes meet at the store that listens on `port`."""
    import torch.distributed as dist

    from nodes.wire.group import Links

    def connect():
        store = dist.TCPStore("127.0.0.1", port, timeout=timedelta(seconds=60), wait_for_workers=False)
        return dist.PrefixStore(case, store)

    return Links(
        connect, lambda: [dist.ProcessGroupGloo.create_device(hostname="127.0.0.1")], False, timeout_s
    )


def _process(place, work, port, results):
    os.environ["OMP_NUM_THREADS"] = "1"
    results.put((place, work(place, port)))


def flown_by_processes(work, count, gone=0):
    """What `work(place, port)` gives in each of several processes that meet at a store of this one."""
    import torch.distributed as dist

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    store = dist.TCPStore(
        "127.0.0.1", port, None, True, wait_for_workers=False, master_listen_fd=listener.detach()
    )
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch.distributed", "nodes.wire.group", "tests.nodes.wire.wire_cases"])
    results = context.Queue()
    processes = [context.Process(target=_process, args=(p, work, port, results)) for p in range(count)]
    for process in processes:
        process.start()
    try:
        found = {}
        for _ in range(count - gone):
            place, result = results.get(timeout=60)
            found[place] = result
        return found
    finally:
        for process in processes:
            process.kill()
        del store


def _every_case(place, port):
    from nodes.wire.group import Group, Member

    logs = {}
    for case, faults in FAULTS.items():
        log, ends = [], []
        with Group(
            place, len(PARTS), Member(frozenset(PARTS[place])), links(port, case, 60), faults
        ) as group:
            for number in range(ROUNDS):
                ends.append(drive(side_of(PARTS[place], number, log), group))
        logs[case] = log, ends
    return logs


@pytest.fixture(scope="module")
def launched():
    return flown_by_processes(_every_case, len(PARTS))


@pytest.mark.parametrize("case", FAULTS)
def test_processes_hear_what_sides_in_one_process_hear(launched, case):
    def run(nodes, log):
        ends = []
        for number in range(ROUNDS):
            ends.append((yield from side_of(nodes, number, log)))
        return ends

    logs = {nodes: [] for nodes in PARTS}
    ends = together({nodes: run(nodes, logs[nodes]) for nodes in PARTS}, FAULTS[case])
    for place, nodes in enumerate(PARTS):
        assert launched[place][case] == (logs[nodes], ends[nodes])


def _slow_ground(place, port):
    from nodes.wire.group import Group, Member

    def crew():
        yield Send(Stage(0, Step.DOWNLINK), {0: b"stream"})
        return dict((yield Send(Stage(0, Step.REQUEST))).messages)

    def ground():
        heard = yield Send(Stage(0, Step.DOWNLINK))
        time.sleep(4)  # decoding
        yield Send(Stage(0, Step.REQUEST), {GROUND: heard.messages[0][::-1]})

    nodes = ((0,), (GROUND,))[place]
    with Group(place, 2, Member(frozenset(nodes)), links(port, "slow", 2.5)) as group:
        return drive(crew() if place == 0 else ground(), group)


def _last_is_gone(place, port, count, how, timeout_s):
    from nodes.wire.group import Group, Member
    from nodes.wire.watchdog import Lost

    def headers():
        for number in range(10_000):
            if place == count - 1 and number == 3:
                os.kill(os.getpid(), how)
            yield Send(Stage(number, Step.HEADERS), {place: b"12345678"}, 8)

    try:
        with Group(place, count, Member(frozenset({place})), links(port, str(how), timeout_s)) as group:
            drive(headers(), group)
    except Lost as lost:
        return str(lost)


def test_slow_honest_work_is_no_fault():
    assert flown_by_processes(_slow_ground, 2) == {0: {GROUND: b"maerts"}, 1: None}


def test_of_those_who_are_left_one_names_a_process_that_was_killed():
    said = flown_by_processes(partial(_last_is_gone, count=3, how=signal.SIGKILL, timeout_s=45), 3, gone=1)
    assert said.keys() == {0, 1} and sorted(map(bool, said.values())) == [False, True]
    assert re.fullmatch(
        r"satellite 2 \(last seen in .*\) stopped answering; the run is over", max(said.values())
    )


def test_a_process_that_is_stopped_is_named_after_the_time_out():
    said = flown_by_processes(partial(_last_is_gone, count=2, how=signal.SIGSTOP, timeout_s=3), 2, gone=1)
    assert re.fullmatch(r"satellite 1 \(last seen in .*\) silent for 3 s; the run is over", said[0])


def test_a_peer_that_is_gone_is_noticed_where_its_answer_is_missing_and_not_in_sending():
    class Closed:
        def send(self, *_):
            raise RuntimeError("Connection closed by peer")

        recv = send

    def wait(operation):
        try:
            return operation()
        except RuntimeError:
            raise Lost("the ground stopped answering") from None

    frames = Frames(Closed(), [1], wait)
    frames.post(Stage(0, Step.DOWNLINK), {0: b"stream"})
    with pytest.raises(Lost, match="ground"):
        frames.of(1, Stage(0, Step.REQUEST))
