"""What a scenario asks to go wrong becomes the same data on every process."""

import pytest

from constellation.common.errors import UserError
from constellation.scenario.faults import KINDS, FaultKnobs
from constellation.scenario.load import load_scenario
from constellation.scenario.network import GroundKnobs
from nodes.messages import Header
from nodes.process.preflight import check_inputs
from nodes.wire.faults import claiming
from nodes.wire.schedule import events_of, faults_of
from nodes.wire.stages import Send, Stage, Step

NODES = frozenset(range(4))


def faults(*events, **knobs):
    section = FaultKnobs.model_validate({"events": list(events), **knobs})
    return faults_of(section, GroundKnobs(), 0, events_of(section, 4, 100, 60.0))


def test_a_satellite_that_hangs_is_back_in_the_next_round_one_that_reboots_later_one_that_dies_never():
    for kind, back in (("hangs", 3), ("reboots", 4), ("dies", None)):
        struck = faults(f"{kind} satellite=1 round=2 stage=exchange")
        away = [n for n in range(100) if 1 not in struck.alive(NODES, Stage(n, Step.EXCHANGE))]
        assert away == list(range(2, 100 if back is None else back))
        assert 1 in struck.alive(NODES, Stage(2, Step.HEADERS))


def test_who_is_missing_or_late_costs_the_others_the_deadline_at_most():
    struck = faults("late satellite=0 seconds=0.5", "dies satellite=1 round=1 stage=capture", deadline_s=3.0)
    assert struck.waits == {Stage(0, Step.EXCHANGE): 0.5, Stage(1, Step.HEADERS): 3.0}
    heard = struck.apply(Send(Stage(0, Step.EXCHANGE), {0: b"a"}, 1), NODES)
    assert heard.waited_s == 0.5 and 0 in heard.by[2]
    assert (0, Stage(0, Step.EXCHANGE)) in faults("late satellite=0 seconds=9").cut


def test_a_partial_view_hears_its_peer_alone_and_is_heard_and_a_cut_one_is_not_heard():
    everybody = Send(Stage(0, Step.EXCHANGE), dict.fromkeys(range(4), b"a"), 1)
    by = faults("partial satellite=2 peer=3").apply(everybody, NODES).by
    assert by[2] == {2, 3} and all(2 in by[other] for other in (0, 1, 3))
    by = faults("cut satellite=2").apply(everybody, NODES).by
    assert by[2] == {2} and not any(2 in by[other] for other in (0, 1, 3))


def test_a_liar_claims_its_metric_in_a_header_that_is_whole():
    header = Header(1, 0, 5.0, 7, 99).pack()
    heard = faults("lies satellite=1 metric=1e9").apply(Send(Stage(0, Step.HEADERS), {1: header}, 40), NODES)
    assert Header.unpack(heard.messages[1]) == Header(1, 0, 1e9, 7, 99)
    assert claiming(b"no header", 1.0) == b"no header"


def test_a_time_names_the_round_in_which_it_falls():
    (event,) = events_of(FaultKnobs.model_validate({"events": ["hangs satellite=0 time_s=130"]}), 4, 9, 60.0)
    assert event.round == 2


def test_what_is_drawn_depends_on_its_seed_and_not_on_the_number_of_rounds():
    knobs = FaultKnobs(rate=0.3, kinds=KINDS, seed=7)
    long = events_of(knobs, 8, 50, 60.0)
    assert [event for event in long if event.round < 20] == list(events_of(knobs, 8, 20, 60.0))
    assert long != events_of(FaultKnobs(rate=0.3, kinds=KINDS, seed=8), 8, 50, 60.0)
    assert 80 < len(long) < 160 and {event.kind for event in long} == set(KINDS)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("faults.events=sleeps satellite=1", "kind: found 'sleeps', expected one of dies, hangs"),
        ("faults.events=dies", "satellite: missing"),
        ("faults.events=dies satellite=x", "satellite: found 'x', expected a whole number"),
        ("faults.events=dies satellite", "expected key=value"),
        ("faults.events=dies satellite=0;hangs satellite=1", "satellite: given twice"),
        ("faults.events=dies satellite=1 when=3", "when: unknown key; there are kind, satellite, round"),
        ("faults.events=", "kind: found ''"),
        ("faults.events=[3]", "expected words such as `dies satellite=3"),
        ("faults.rate=2", "expected a number from 0 to 1"),
    ],
)
def test_a_fault_that_is_none_is_refused_in_one_line(word, said):
    with pytest.raises(UserError, match=r"^faults\.(events|rate): [^\n]*$") as refused:
        load_scenario("smoke", [word])
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "event",
    [
        "dies satellite=2",
        "partial satellite=1 peer=2",
        "dies satellite=1 round=1",
        "late satellite=1 time_s=1e9",
    ],
)
def test_a_fault_that_befalls_nobody_is_refused(event):
    with pytest.raises(
        UserError, match=r"^faults\.events: \w+ satellite=\d.*: expected .*(satellites=2|rounds=1)$"
    ):
        check_inputs(load_scenario("smoke", [f"faults.events={event}"]))


def test_without_faults_a_scenario_has_the_digest_that_it_had():
    plain = load_scenario("smoke", [])
    assert plain.digest == load_scenario("smoke", ["faults.rate=0", "resume=true"]).digest
    assert plain.digest != load_scenario("smoke", ["faults.events=dies satellite=1"]).digest
