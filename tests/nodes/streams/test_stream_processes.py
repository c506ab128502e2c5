"""The same round of streams by real processes over Gloo."""

from functools import partial

from ground.round import hear_round
from nodes.round import fly_round
from nodes.wire.protocol import drive
from nodes.wire.stages import GROUND
from tests.nodes.round_cases import EVERYBODY
from tests.nodes.streams.stream_cases import crew_of, forced, station_of
from tests.nodes.streams.test_stream_rounds import flown
from tests.nodes.wire.test_group import flown_by_processes, links


def _fly(place, port, parts):
    """Streams of this process's satellites; at the ground, digests of what was decoded."""
    from nodes.wire.group import Group, Member

    member = Member(frozenset(parts[place]))
    with forced(), Group(place, len(parts), member, links(port, "streams", 60)) as group:
        group.meet()
        if parts[place] == (GROUND,):
            landed = drive(hear_round(station_of("bmshj"), 0), group)
            return {s: str(one.outcome) for s, one in enumerate(landed.record.satellites)}
        done = drive(fly_round(crew_of("bmshj", parts[place]), 0), group)
    return {s: product.stream for s, product in done.products.items()}


def test_one_or_two_processes_of_satellites_send_the_bytes_of_one_crew():
    with forced():
        products, _ = flown("bmshj")
    expected = {s: product.stream for s, product in products.items()}
    for crews in ((EVERYBODY,), ((0, 3), (1, 2, 4))):
        parts = [*crews, (GROUND,)]
        told = flown_by_processes(partial(_fly, parts=parts), len(parts))
        assert {s: data for place in range(len(crews)) for s, data in told[place].items()} == expected
        assert set(told[len(crews)].values()) == {"exact"}
