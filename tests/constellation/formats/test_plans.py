"""Contact plans: what ION, HDTN and the D3TN tools read, and the delivery times that follow from them."""

import asyncio
import json
from datetime import datetime, timezone

import numpy as np
import pytest

from constellation.common.errors import UserError
from constellation.formats.making import plan_of
from constellation.formats.plan import hdtn_plan, ion_plan, read_plan, tvg_plan
from constellation.orbit.orbits import load_constellation
from constellation.passes.contacts import station_windows
from constellation.passes.queue import Service, messages_through
from constellation.scenario.load import load_network
from constellation.sync.series import Setting

EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)
SPAN_S = 3 * 3600.0


@pytest.fixture(scope="module")
def knobs():
    words = ["orbit.pattern=53:24/3/1", "satellites=4", "ground.stations=Matera,Santiago"]
    return load_network("edge_space_com", words)


@pytest.fixture(scope="module")
def plan(knobs):
    return plan_of(Setting.of(knobs), knobs.ground, SPAN_S, "all")


def test_a_plan_has_every_pass_both_ways(knobs, plan):
    windows = station_windows(load_constellation(knobs.orbit), knobs.ground, 0.0, SPAN_S)
    passes = [one for one in plan.contacts if max(one.source, one.target) > 24]
    assert len(passes) == 2 * sum(map(len, windows)) > 0
    first = windows[0]
    found = [one for one in passes if one.target == 25]
    assert [one.begin_s for one in found] == first.rise_s.tolist()
    assert all(0.001 < one.delay_s < 0.01 for one in passes)


def test_the_time_varying_graph_loads_in_dtn_tvg_util(plan):
    from tvgutil import tvg

    graph = tvg.from_serializable(json.loads(tvg_plan(plan)))
    contacts = tvg.to_contact_plan(graph)
    assert len(contacts) == len(plan.contacts) and len(graph.vertices) == 26
    got = sorted((c.start_time, c.end_time, int(c.tx_node), int(c.rx_node)) for c in contacts)
    assert got == sorted((c.begin_s, c.end_s, c.source, c.target) for c in plan.contacts)


@pytest.mark.parametrize("write", [ion_plan, hdtn_plan])
def test_what_is_written_is_read_again_to_the_second(plan, write, tmp_path):
    path = tmp_path / "plan"
    path.write_text(write(plan))
    again = read_plan(str(path), plan.epoch)
    whole = [c for c in plan.contacts if np.floor(c.end_s) > np.ceil(c.begin_s)]
    assert len(again) == len(whole)
    for one, two in zip(
        sorted(whole, key=lambda c: (np.ceil(c.begin_s), c.source, c.target)), again, strict=True
    ):
        assert (one.source, one.target) == (two.source, two.target)
        assert 0 <= two.begin_s - one.begin_s < 1 and 0 <= one.end_s - two.end_s < 1
        assert two.rate_bps == pytest.approx(one.rate_bps, abs=8)


def test_ion_commands_are_ionadmins():
    """The grammar of ionadmin(1) and ionrc(5): times, nodes, bytes per second, confidence."""
    from constellation.formats.plan import PlanContact, sorted_plan

    plan = sorted_plan(["a", "b"], [PlanContact(1, 2, 0.5, 90.25, 80_000.0, 1.3)], EPOCH, 1)
    lines = [line for line in ion_plan(plan).splitlines() if not line.startswith("#")]
    assert lines == [
        "a contact 2026/01/01-00:00:01 2026/01/01-00:01:30 1 2 10000 1.0",
        "a range 2026/01/01-00:00:01 2026/01/01-00:01:30 1 2 1",
    ]


def test_a_plan_of_ions_own_examples_is_read(tmp_path):
    path = tmp_path / "contacts.ionrc"
    path.write_text(
        "# three nodes\na contact +1 +3600 1 2 100000\na range +1 +3600 1 2 3\n@ 2026/01/01-01:00:00\n"
        "a contact +0 +60 2 3 50 0.5\ns\n"
    )
    one, two = read_plan(str(path), EPOCH)
    assert (one.begin_s, one.end_s, one.rate_bps, one.delay_s) == (1.0, 3600.0, 800_000.0, 3.0)
    assert (two.source, two.target, two.begin_s, two.end_s) == (2, 3, 3600.0, 3660.0)


@pytest.mark.parametrize(
    "text",
    [
        "a contact +9 +3 1 2 100", "a contact 2026/13/01-00:00:00 +3 1 2 100", "a contact +1 +3 1 1 100",
        "a contact +1 +3 x 2 100", '{"contacts": 3}', '{"contacts": [{"source": 1}]}', "nothing", "",
        '{"contacts": [{"source": 1, "dest": 2, "startTime": 0, "endTime": 1e999, "rateBitsPerSec": 8}]}',
    ],
)  # fmt: skip
def test_what_is_no_plan_is_one_line(text, tmp_path):
    path = tmp_path / "plan"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_plan(str(path), EPOCH)
    assert str(caught.value).startswith(str(path))


def rate_of(contact):
    return contact.characteristics[0].bit_rate, contact.characteristics[0].delay


def test_aiodtnsim_delivers_when_our_queue_does(plan):
    """Three messages of one satellite, through the same contacts, in another simulator."""
    from aiodtnsim import Contact, EventDispatcher, EventHandler, Message
    from aiodtnsim.simulation import SimNode
    from aiodtnsim.simulation.event_loop import DESEventLoop
    from tvgutil import tvg

    mine = [one for one in plan.contacts if one.target in (25, 26)]
    satellite = max({one.source for one in mine}, key=lambda s: sum(one.source == s for one in mine))
    contacts = [
        c
        for c in tvg.to_contact_plan(tvg.from_serializable(json.loads(tvg_plan(plan))))
        if c.tx_node == str(satellite) and int(c.rx_node) > 24
    ]
    sizes = [1e6, 2e8, 3e8]
    arrived, running = {}, []

    class Log(EventHandler):
        def message_received(self, time, rx_node, message, tx_node):
            arrived[message.destination] = time

    class Fifo(SimNode):
        def __init__(self, *args):
            super().__init__(*args)
            self.queue = []

        def route(self, message, tx_node, metadata):
            if tx_node is None:
                self.queue.append(message)

        async def get_messages(self, rx_node):
            while self.queue:
                yield self.queue.pop(0), None

    async def fly():
        events = EventDispatcher()
        events.add_subscriber(Log())
        nodes = {name: Fifo(name, float("inf"), events) for name in (str(satellite), "25", "26")}
        tasks = [
            nodes[str(satellite)].schedule_injection(Message(0.0, "s", f"m{i}", 8 * size, 1e9))
            for i, size in enumerate(sizes)
        ] + [
            nodes[c.tx_node].schedule_contact(
                Contact(nodes[c.tx_node], nodes[c.rx_node], c.start_time, c.end_time, *rate_of(c))
            )
            for c in contacts
        ]  # fmt: skip
        running.extend(map(asyncio.ensure_future, tasks))

    loop = DESEventLoop()
    loop.create_task(fly())
    try:
        loop.run_forever()
    finally:  # it says that it runs for ever after
        asyncio._set_running_loop(None)
    ordered = sorted((one for one in mine if one.source == satellite), key=lambda c: c.begin_s)
    service = Service(
        *(np.array([getattr(one, n) for one in ordered]) for n in ("begin_s", "end_s", "rate_bps"))
    )
    queue = messages_through(service, [0.0] * 3, sizes)
    for i, delivery in enumerate(queue.deliveries):
        delay_s = next(one.delay_s for one in ordered if one.end_s >= delivery.finish_s)
        assert arrived[f"m{i}"] == pytest.approx(delivery.finish_s + delay_s, abs=1e-3)


def test_light_times_of_an_ion_plan_are_those_that_hold_when_a_contact_begins(tmp_path):
    lines = [f"a range +{10 * n} +{10 * n + 10} 1 2 {n}" for n in range(5)]
    lines += ["a range +0 +100 3 4 7", "a range +20 +30 3 4 9", "a range +0 +100 4 3 5"]
    pairs = ("1 2", "2 1", "3 4", "4 3", "1 5")
    lines += [
        f"a contact +{t} +{t + 1} {pair} 1000 1.0" for t in (0, 9, 10, 25, 31, 49, 50) for pair in pairs
    ]
    path = tmp_path / "plan"
    path.write_text("\n".join(lines))
    found = {(c.source, c.target, c.begin_s): c.delay_s for c in read_plan(str(path), EPOCH)}
    for t, along, other in ((0, 0, 7), (9, 0, 7), (10, 1, 7), (25, 2, 9), (31, 3, 7), (49, 4, 7), (50, 0, 7)):
        assert (found[1, 2, t], found[2, 1, t], found[3, 4, t], found[4, 3, t]) == (along, along, other, 5)
        assert found[1, 5, t] == 0
