"""Real processes over Gloo: they hear what `together` says, wait for a slow one, and meet again when one is
lost, comes back, or is given up."""

import contextlib
import multiprocessing
import os
import socket
import time
from datetime import timedelta
from functools import partial

import pytest
import torch

from nodes.process.server import METHOD, serving
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
    torch.set_num_threads(1)  # those of whom it was forked from are not here
    results.put((place, work(place, port)))


def flown_by_processes(work, count, gone=0):
    """What `work(place, port)` gives in each of several processes that meet at a store of this one, from
    which they are forked with all that it has imported."""
    import torch.distributed as dist

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    with serving():  # before there is a thread of the store's
        store = dist.TCPStore(
            "127.0.0.1", port, None, True, wait_for_workers=False, master_listen_fd=listener.detach()
        )
        context = multiprocessing.get_context(METHOD)
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
            group.meet()
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
        group.meet()
        return drive(crew() if place == 0 else ground(), group)


def _last_is_lost(place, port, how):
    """Two crews and a ground, of whom the last crew is lost in round 2; what became of each round's
    headers."""
    from nodes.wire.group import Group, Member
    from nodes.wire.meeting import Disturbed

    nodes, heard = frozenset(((0,), (1,), (GROUND,))[place]), {}

    def side(number):
        if place < 2:
            told = yield Send(Stage(number, Step.HEADERS), {place: b"12345678"}, 8)
            heard.setdefault(number, []).append((sorted(told.by), sorted(told.lost)))
            yield Send(Stage(number, Step.DOWNLINK), {place: b"stream"})
            yield Send(Stage(number, Step.REQUEST))  # the ground has had the round
        else:
            told = yield Send(Stage(number, Step.DOWNLINK))
            heard.setdefault(number, []).append((sorted(told.messages), sorted(told.lost)))
            yield Send(Stage(number, Step.REQUEST), {GROUND: b"closed"})

    def fly(again):
        member = Member(nodes, "alike")
        with Group(place, 3, member, links(port, how, 20)) as group:
            done = 0
            while (first := group.meet(done if place == 2 else None)) is not None:
                try:
                    for number in range(first, 4):
                        if (place, number, again) == (1, 2, False):
                            return _struck(how, group, lambda: fly(True))
                        drive(side(number), group)
                        done = number + 1
                    group.close() if place == 2 else group.wait_until_over()
                except Disturbed:
                    continue
        return heard

    return fly(False)


def _struck(how, group, again):
    from nodes.wire.meeting import Accident

    if how == "comes back":  # as another child would, while this one is still there
        return again()
    if how == "cut off":
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(name))) as connection:
                if not connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    connection.shutdown(socket.SHUT_RDWR)
        return again()
    group.record(Accident("satellite 1", "was lost"))
    group.bury()
    return {}


def test_slow_honest_work_is_no_fault():
    assert flown_by_processes(_slow_ground, 2) == {0: {GROUND: b"maerts"}, 1: None}


@pytest.mark.parametrize("how", ["comes back", "cut off", "given up"])
def test_all_begin_the_round_again_that_the_ground_is_in_when_one_was_lost(how):
    found = flown_by_processes(partial(_last_is_lost, how=how), 3)
    given_up = how == "given up"
    for place, everybody in ((0, [0, 1]), (2, [0, 1])):
        rounds = {number: told[-1][0] for number, told in found[place].items()}
        later = [0] if given_up else everybody
        assert rounds == {0: everybody, 1: everybody, 2: later, 3: later}
    assert found[0][2][-1][1] == ([1] if given_up else [])
    assert len(found[2][1]) == 1  # what the ground has had is not flown again


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

    frames = Frames(Closed(), [0, 1], [1], wait)
    frames.post(Stage(0, Step.DOWNLINK), {0: b"stream"})
    with pytest.raises(Lost, match="ground"):
        frames.of(1, Stage(0, Step.REQUEST))
