"""Rounds in which satellites exchange their streams: every vector is the independent stream's, whoever is
split from whom and whatever is lost or damaged on the way."""

import numpy as np
import pytest

from codec.bitstream import unpack
from constellation.common.errors import UserError
from ground.records import PREDICTED, Outcome
from nodes.encoder import alone_stream
from nodes.round import fly_round
from nodes.streams.neighbours import decoded
from nodes.streams.offer import Offer
from nodes.wire.faults import NO_FAULTS, Faults
from nodes.wire.protocol import together
from nodes.wire.stages import GROUND, Stage, Step
from tests.nodes.round_cases import EVERYBODY, module_of
from tests.nodes.streams.stream_cases import FAMILIES, WORDS, crew_of, forced, ground_of, station_of

families = pytest.mark.parametrize("model", FAMILIES)


def flown(model, splits=(EVERYBODY,), faults=NO_FAULTS, words=WORDS, hearing=None, number=0):
    """(products by satellite, what landed) of a round in crews."""
    crews = [crew_of(model, numbers, words, hearing) for numbers in splits]
    sides = {crew.numbers: fly_round(crew, number) for crew in crews}
    done = together({**sides, GROUND: ground_of(model, number)}, faults)
    landed = done.pop(GROUND)
    return {s: p for one in done.values() for s, p in sorted(one.products.items())}, landed


@families
def test_every_predicted_stream_decodes_to_the_vectors_of_the_independent_one(model):
    with forced():
        products, landed = flown(model)
    guided = [s for s, product in products.items() if product.guide is not None]
    assert len(guided) >= 3
    for satellite, product in products.items():
        source = satellite, 0
        assert landed.decoded.latents[source].tobytes() == landed.alone.latents[source].astype("i4").tobytes()
        assert unpack(product.stream).digest == unpack(product.alone).digest
    outcomes = {one.outcome for one in landed.record.satellites}
    assert outcomes == {Outcome.EXACT}
    assert sum(one.predicted for one in landed.record.satellites) > 50


@families
def test_what_does_not_pay_is_sent_plainly_one_byte_longer_than_alone(model):
    products, landed = flown(model, words=("dlrc.exchange=streams", "dlrc.dedup=conditional"))
    for product in products.values():
        assert len(product.stream) <= len(product.alone) + 1
    assert all(one.outcome is Outcome.EXACT for one in landed.record.satellites)


@families
def test_hybrid_copies_what_is_exactly_alike_and_is_never_longer_than_plain(model):
    products, landed = flown(model)
    assert all(len(product.stream) <= len(product.alone) + 1 for product in products.values())
    saved = 1 - sum(len(p.stream) for p in products.values()) / sum(len(p.alone) for p in products.values())
    assert saved > 0.1 and sum(one.remote_copy for one in landed.record.satellites) > 50
    for one in landed.record.satellites:
        assert one.outcome is Outcome.EXACT and one.quality_dlrc == one.quality_independent


@pytest.mark.parametrize("splits", [[(0,), (1,), (2,), (3,), (4,)], [(3, 1), (0, 4, 2)], [(4, 3, 2, 1, 0)]])
def test_any_split_into_crews_gives_the_same_bytes(splits):
    with forced():
        whole, _ = flown("mbt")
        parts, _ = flown("mbt", splits)
    for satellite, product in whole.items():
        assert (product.stream, product.alone) == (parts[satellite].stream, parts[satellite].alone)


HEARING = {0: (0, 1), 1: (0, 1, 2), 2: (1, 2, 3), 3: (0, 3), 4: (2, 4)}


def test_with_partial_views_each_refers_to_whom_it_heard():
    with forced():
        products, landed = flown("bmshj", hearing=HEARING)
    for satellite, product in products.items():
        referred = set(product.guide.sources if product.guide else ())
        assert referred <= set(HEARING[satellite]) - {satellite}
    assert all(one.exact for one in landed.record.satellites)


def test_a_stream_damaged_in_the_exchange_was_heard_by_nobody():
    faults = Faults(damaged=frozenset({(0, Stage(0, Step.EXCHANGE))}))
    with forced():
        products, landed = flown("bmshj", faults=faults)
    assert all(0 not in (product.guide.sources if product.guide else ()) for product in products.values())
    assert all(one.exact for one in landed.record.satellites)


def test_references_by_bits_are_those_that_take_fewest_bits_of_all_that_were_heard():
    words = (*WORDS[:1], "dlrc.dedup=conditional", "dlrc.reference_rule=bits")
    with forced():
        products, landed = flown("bmshj", words=(*words, "dlrc.references=1"))
        both, again = flown("bmshj", words=words)
        near, _ = flown("bmshj", words=(*WORDS[:1], "dlrc.dedup=conditional", "dlrc.references=1"))
    guided = [s for s, product in products.items() if product.guide is not None]
    assert len(guided) >= 3 and all(len(products[s].guide.sources) == 1 for s in guided)
    for satellite in guided:
        assert len(products[satellite].stream) <= len(near[satellite].stream) + 1
        assert len(both[satellite].stream) <= len(products[satellite].stream) + 1
    assert any(len(products[s].stream) < len(near[s].stream) for s in guided)
    for one in (*landed.record.satellites, *again.record.satellites):
        assert one.outcome is Outcome.EXACT


def test_a_rule_of_ones_own_says_who_predicts_whom_in_a_round():
    def last(own, headers, seed, number):
        return [max(headers, key=lambda one: one.satellite).satellite] if headers else []

    words = (*WORDS[:1], "dlrc.dedup=conditional", "dlrc.reference_rule=mine:last", "priority.trust=true")
    with forced(), module_of("mine", last=last):
        products, landed = flown("bmshj", words=words)
    order = list(landed.record.order)
    for place, satellite in enumerate(order):
        guide, before = products[satellite].guide, order[:place]
        assert (guide.sources if guide else ()) == ((max(before),) if before else ())
    assert all(one.outcome is Outcome.EXACT for one in landed.record.satellites)


def test_a_rule_that_names_somebody_unheard_ends_the_round_with_one_line():
    words = (*WORDS, "dlrc.reference_rule=mine:wrong", "priority.trust=true")
    unheard = pytest.raises(UserError, match=r"returned \[99\] for satellite")
    with module_of("mine", wrong=lambda own, headers, seed, number: [99]), unheard:
        flown("bmshj", words=words)


def test_a_satellite_that_dies_after_the_exchange_costs_its_followers_their_independent_streams():
    faults = Faults(deaths={0: Stage(0, Step.DOWNLINK)})
    with forced():
        _, landed = flown("bmshj", faults=faults)
    outcome = {one.satellite: one.outcome for one in landed.record.satellites}
    assert Outcome.INDEPENDENT in outcome.values() and 0 not in outcome
    assert set(outcome.values()) <= {Outcome.EXACT, Outcome.INDEPENDENT}
    assert all(one.quality_dlrc == one.quality_independent for one in landed.record.satellites)


@pytest.mark.parametrize("words", [("ground.silent_satellite=0",), ("ground.stream_loss=0.7",)])
def test_silence_and_damage_on_the_link_are_repaired_and_every_byte_is_in_the_ledger(words):
    from tests.nodes.round_cases import scenario_of

    ground = scenario_of("bmshj", *words).ground
    with forced():
        _, landed = flown("bmshj", faults=Faults.of(ground, 3))
    for one in landed.record.satellites:
        book = one.ledger
        assert book.first + book.resent == book.received + book.lost
        assert one.outcome is not Outcome.INCOMPLETE
        if one.outcome is not Outcome.LOST:
            assert one.quality_dlrc == one.quality_independent
    outcomes = [one.outcome for one in landed.record.satellites]
    assert outcomes.count(Outcome.LOST) == ("silent" in words[0])
    assert any(one in (Outcome.INDEPENDENT, Outcome.RESENT) for one in outcomes)


def test_the_record_says_from_whom_vectors_are_predicted_and_at_how_many_bits():
    with forced():
        products, landed = flown("elic")
    for one in landed.record.satellites:
        guide = products[one.satellite].guide
        if guide is None:
            assert one.predicted == 0 and not one.bits
            continue
        owners = set(np.unique(one.fates.owner[one.fates.fate == PREDICTED]).tolist())
        assert owners <= set(guide.sources) <= set(one.needs)
        assert {s for s, _ in one.bits} - {-1} == owners
        total = sum(bits for _, bits in one.bits)
        assert 0 < 8 * one.dlrc.y - total < 64, "the tables' bits are the section's, but for its end"
        assert one.dlrc.prediction > 4 and one.predicted <= one.kept


def test_a_round_of_streams_has_the_spans_of_its_stages():
    with forced():
        _, landed = flown("bmshj")
    one = landed.record.satellites[-1]
    assert [span.name for span in one.spans] == [
        "capture", "analysis", "alone", "exchange", "references", "arbitrate", "registration", "prediction",
        "coding", "downlink",
    ]  # fmt: skip
    assert all(span.duration_s > 0 for span in one.spans if span.name != "arbitrate" or span.duration_s)
    assert one.payload_bytes == 48 + int(one.independent.total)
    longest = max(int(other.independent.total) for other in landed.record.satellites)
    assert one.gathered_bytes == 48 + -(-longest // 8) * 8


def test_a_crew_mate_has_the_vectors_that_everybody_else_decodes():
    crew = crew_of("cheng")
    for view in crew.see(0, crew.numbers):
        stream = alone_stream(crew.board, crew.rules, view)
        offer = Offer.of((view.look.satellite, 0), 0.0, stream, (0, 0))
        there = decoded(crew.board, crew.rules.codec, offer)
        assert np.array_equal(there, np.rint(view.y).astype(np.int32))


@families
def test_streams_decode_in_any_order_and_without_those_that_they_do_not_need(model):
    with forced():
        products, _ = flown(model)
    station = station_of(model)
    streams = {(s, 0): product.stream for s, product in products.items()}
    backwards = station.decode(dict(reversed(streams.items())))
    assert len(backwards.whole) == len(streams)
    first = min(streams)
    without = station.decode({source: data for source, data in streams.items() if source != first})
    faults = [str(error) for error in without.faults.values()]
    assert not without.damaged and any("satellite 0, whose stream is not here" in text for text in faults)
    assert all(text.startswith("refers to satellite") for text in faults)
