"""Lists of earlier rounds: what both ends remember is neither coded nor sent again, and whatever one of them
lost, or has wrong, is repaired."""

import base64
from dataclasses import replace

import numpy as np
import pytest

from codec.bitstream import unpack
from codec.maps.assignment import earlier_cells
from constellation.common.errors import UserError
from constellation.scenario.load import load_scenario
from ground.records import Outcome
from ground.round import Station, hear_round
from nodes.lists.entries import Entries, recall
from nodes.memory import GroundMemory, Memory, Reach
from nodes.messages import MessageError
from nodes.round import fly_round
from nodes.wire.faults import NO_FAULTS, Faults, Outage
from nodes.wire.protocol import together
from nodes.wire.stages import GROUND, Stage, Step
from tests.nodes.round_cases import EVERYBODY, board_of, crew_of

REACH = Reach(8, {})
FINE = (Outcome.EXACT, Outcome.RESENT, Outcome.INDEPENDENT)


def flown(*, model="bmshj", rounds=3, splits=(EVERYBODY,), faults=NO_FAULTS, reach=REACH, **how):
    """(products by source, records, the ground's memory) of rounds that remember each other."""
    crews = [replace(crew_of(model, numbers, **how), memory=Memory(reach)) for numbers in splits]
    memory = GroundMemory(reach)
    station = Station(board_of(model), memory)
    products, records = {}, []
    for number in range(rounds):
        sides = {crew.numbers: fly_round(crew, number) for crew in crews}
        done = together({**sides, GROUND: hear_round(station, number)}, faults)
        records.append(done.pop(GROUND).record)
        for one in done.values():
            products |= {(s, number): product for s, product in one.products.items()}
    return dict(sorted(products.items())), records, memory


def ages(product) -> set[int]:
    return {number // 1024 for number in unpack(product.stream).header.earlier}


def outcomes(records):
    return [one.outcome for record in records for one in record.satellites]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("bmshj", ()),
        ("mbt", ()),
        ("elic", ("dlrc.signature=content", "dlrc.map_coding=lzma")),
        ("mbt", ("codec.context=independent",)),
        ("bmshj", ("priority.rule=balanced", "dlrc.representative=original")),
    ],
)
def test_what_both_ends_remember_is_not_coded_again_and_decodes_exactly(model, words):
    products, records, _ = flown(model=model, words=words)
    assert set(outcomes(records)) == {Outcome.EXACT}
    assert not any(ages(products[s, 0]) for s in EVERYBODY)
    assert all(unpack(products[s, 0].stream).header.version == 4 for s in EVERYBODY)
    assert all(ages(products[s, n]) for s in EVERYBODY for n in (1, 2))
    for (s, n), product in products.items():
        header = unpack(product.stream).header
        at = earlier_cells(product.assignment)
        assert header.earlier == tuple(np.unique(product.assignment.owner[at]))
        assert header.version == (5 if at.any() else 4)
        assert len(header.earlier) == len(records[n].satellites[s].earlier)
    if "codec.context=independent" not in words:
        assert any(
            product.assignment.exact[earlier_cells(product.assignment)].any() for product in products.values()
        )


def test_remembering_saves_bytes_in_every_round_but_the_first():
    with_memory, _, _ = flown()
    without, _, _ = flown(reach=Reach(8, dict.fromkeys(EVERYBODY, (1, 2))))
    spent = [
        [sum(len(some[s, n].stream) for s in EVERYBODY) for n in range(3)] for some in (with_memory, without)
    ]
    assert spent[0][0] == spent[1][0] and spent[0][1] < spent[1][1] and spent[0][2] < spent[1][2]


ONE_SIDED = {0: (0, 1), 1: (0, 1, 2), 2: (1, 2, 3), 3: (0, 3), 4: (4,)}


@pytest.mark.parametrize(
    ("hearing", "splits"),
    [(None, ((0, 1), (2, 3, 4))), (ONE_SIDED, tuple((s,) for s in reversed(EVERYBODY)))],
)
def test_bytes_do_not_depend_on_who_flies_with_whom_under_faults(hearing, splits):
    faults = Faults(
        loss=0.3,
        seed=3,
        outages={1: [Outage(Stage(0, Step.REQUEST), 1)], 2: [Outage(Stage(1, Step.EXCHANGE), 2)]},
    )
    one, records, _ = flown(faults=faults, hearing=hearing)
    several, others, _ = flown(faults=faults, hearing=hearing, splits=splits)
    assert {s: product.stream for s, product in one.items()} == {s: p.stream for s, p in several.items()}
    assert outcomes(records) == outcomes(others)
    for record in records:
        assert all(s.outcome in FINE or s.satellite in (1, 2) for s in record.satellites)


def test_partial_views_remember_what_they_can_tell_and_decode_exactly():
    products, records, _ = flown(hearing=ONE_SIDED, model="mbt", rounds=4)
    assert set(outcomes(records)) == {Outcome.EXACT}
    assert all(ages(products[s, 3]) for s in EVERYBODY)
    named = {n % 1024 for n in unpack(products[4, 3].stream).header.earlier}
    assert named == {4}  # who heard nobody has its own lists alone


@pytest.mark.parametrize("lost", [0, 3])
def test_a_satellite_that_lost_its_memory_goes_without(lost):
    products, records, _ = flown(reach=Reach(8, {lost: (2,)}))
    assert set(outcomes(records)) == {Outcome.EXACT}
    assert not ages(products[lost, 2]) and any(ages(products[s, 2]) for s in EVERYBODY if s != lost)


def test_a_ground_that_lost_its_memory_asks_for_independent_streams_once():
    products, records, _ = flown(rounds=4, reach=Reach(8, {GROUND: (2,)}))
    second = {one.outcome for one in records[2].satellites}
    assert Outcome.INDEPENDENT in second and second <= {Outcome.INDEPENDENT, Outcome.EXACT}
    for one in records[2].satellites:
        assert one.ledger.resent == (one.independent.total if one.outcome is Outcome.INDEPENDENT else 0)
    assert {one.outcome for n in (0, 1, 3) for one in records[n].satellites} == {Outcome.EXACT}
    asked = {one.satellite for one in records[2].satellites if one.outcome is Outcome.INDEPENDENT}
    assert not any(ages(products[s, 3]) & {2, 3} for s in asked)  # forgot what the ground may have lost


def test_a_wrong_memory_is_a_fault_and_never_a_picture():
    memory = GroundMemory(REACH)
    station = Station(board_of("bmshj"), memory)
    crew = replace(crew_of("bmshj", EVERYBODY), memory=Memory(REACH))
    together({crew.numbers: fly_round(crew, 0), GROUND: hear_round(station, 0)})
    memory.keep(0, {s: vectors + 1 for (s, _), vectors in memory.before(1).items()})
    done = together({crew.numbers: fly_round(crew, 1), GROUND: hear_round(station, 1)})
    record = done[GROUND].record
    referring = {one.satellite for one in record.satellites if one.earlier}
    assert referring and all("remembered is wrong" in one.fault for one in record.satellites if one.earlier)
    assert all(one.outcome is Outcome.INDEPENDENT for one in record.satellites if one.earlier)


def test_who_did_not_hear_the_ground_close_a_round_does_not_refer_to_it():
    deaf = Faults(outages={1: [Outage(Stage(0, Step.REQUEST), 1)]})
    products, records, _ = flown(faults=deaf)
    assert not ages(products[1, 1]) and 2 not in ages(products[1, 2])
    assert {one.outcome for record in records[1:] for one in record.satellites} == {Outcome.EXACT}


def test_what_is_too_old_is_forgotten_on_both_sides():
    products, records, memory = flown(rounds=4, reach=Reach(1, {}))
    assert set().union(*map(ages, products.values())) == {1}
    assert set(outcomes(records)) == {Outcome.EXACT}
    assert {number for _, number in memory.before(4)} == {3}


def test_entries_come_back_from_text_or_are_refused():
    entries = Entries(np.array([0, 3], np.int32), np.array([-5, 7]), np.array([1, -(2**63)]))
    back = Entries.unpack(entries.pack())
    assert all(
        np.array_equal(getattr(back, n), getattr(entries, n)) for n in ("index", "signatures", "contents")
    )
    spoilt = base64.b64encode(base64.b64decode(entries.pack())[:-1] + b"?").decode()
    for text in ("?", "", spoilt, entries.pack()[:-8]):
        with pytest.raises(MessageError):
            Entries.unpack(text)


def test_the_fewest_lists_are_named():
    def entries(*signatures):
        found = np.array(signatures, np.int64)
        return Entries(np.arange(len(found), dtype=np.int32), found, found)

    lists = {1024: entries(1, 2, 3, 4), 1025: entries(5, 4, 3, 2, 1), 2048: entries(9, 10, 11)}
    found = recall(lists, np.array([1, 2, 3, 4, 5, 9, 10, 11]))
    assert found.owner.tolist() == [1025] * 5 + [-1] * 3  # three entries are not worth a name
    assert found.index.tolist()[:5] == [4, 3, 2, 1, 0] and found.contents.tolist()[:5] == [1, 2, 3, 4, 5]


def test_what_cannot_be_remembered_is_refused():
    for words, said in (
        (("dlrc.enabled=false",), "needs dlrc.enabled=true"),
        (("dlrc.dedup=footprint",), "would never be sent again"),
        (("codec.grid=centred",), "needs fixed"),
    ):
        with pytest.raises(UserError, match=said):
            load_scenario("dense", ("dlrc.memory=rounds", *words))
