"""A round on board under `together`: the bytes do not depend on who flies whom, and no fault of a satellite
or of a message costs another one's image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.bitstream import unpack
from codec.maps.assignment import KEPT, REMOTE
from constellation.common.errors import UserError
from ground.records import Outcome
from nodes.messages import Header, Orders
from nodes.round import agree, fly_round, headers, recognise, understand
from nodes.wire.faults import Faults
from nodes.wire.protocol import together
from nodes.wire.stages import GROUND, Heard, Send, Stage, Step
from tests.nodes.round_cases import EVERYBODY, SATELLITES, crew_of, fly, ground_of, module_of, whole

WHOLE = (Outcome.EXACT, Outcome.RESENT, Outcome.INDEPENDENT)
ONE_SIDED = {0: (0, 1), 1: (0, 1, 2), 2: (1, 2, 3), 3: (0, 3), 4: (4,)}
RULES = {
    "id": (),
    "random": ("priority.rule=random",),
    "balanced": ("priority.rule=balanced", "codec.context=independent"),
    "content": ("dlrc.signature=content",),
    "centred": ("codec.grid=centred",),
    "among those that overlap": ("sync.scope=overlap", "capture.window_px=320"),
    "balanced in regions": (
        "sync.scope=region", "capture.window_px=512", "priority.rule=balanced", "codec.context=independent",
    ),
}  # fmt: skip
SPLITS = st.permutations(EVERYBODY).flatmap(
    lambda order: st.lists(st.sampled_from(range(1, SATELLITES)), unique=True).map(
        lambda cuts: [tuple(order[a:b]) for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), SATELLITES])]
    )
)
STAGES = [Stage(0, step) for step in (Step.HEADERS, Step.EXCHANGE, Step.DOWNLINK, Step.WITNESS)]
PLACES = st.tuples(st.sampled_from(EVERYBODY), st.sampled_from(STAGES[:2]))
FAULTS = st.builds(
    Faults,
    deaths=st.dictionaries(st.sampled_from(EVERYBODY), st.sampled_from(STAGES), max_size=2),
    cut=st.frozensets(PLACES, max_size=2),
    damaged=st.frozensets(PLACES, max_size=2),
    mute=st.frozensets(st.sampled_from(EVERYBODY), max_size=1),
)


def bytes_of(products):
    return {s: (product.stream, product.alone) for s, product in products.items()}


def living(products, faults):
    """Of those that live until their stream is down; who dies before may have had no chance to code."""
    dead = {s for s, stage in faults.deaths.items() if stage < Stage(0, Step.DOWNLINK)}
    return {s: pair for s, pair in bytes_of(products).items() if s not in dead}


@settings(max_examples=25, deadline=None)
@given(SPLITS, st.sampled_from(sorted(RULES)), st.sampled_from([None, ONE_SIDED]), FAULTS)
def test_any_split_into_crews_and_any_order_of_them_gives_equal_bytes(split, rule, hearing, faults):
    words = RULES[rule]
    together_, _, _ = fly([crew_of("bmshj", EVERYBODY, words, hearing)], faults)
    apart, _, _ = fly([crew_of("bmshj", numbers, words, hearing) for numbers in split], faults)
    assert living(apart, faults) == living(together_, faults)


@pytest.mark.parametrize("model", ("mbt", "cheng", "elic"))
def test_every_family_codes_alike_in_one_crew_and_in_five(model):
    one, _, _ = fly([crew_of(model, EVERYBODY)])
    five, _, _ = fly([crew_of(model, (number,)) for number in reversed(EVERYBODY)])
    assert bytes_of(one) == bytes_of(five)


@settings(max_examples=25, deadline=None)
@given(SPLITS, FAULTS)
def test_whoever_lives_is_decoded_whatever_happens_to_messages_and_to_others(split, faults):
    crews = [crew_of("mbt", numbers) for numbers in split]
    _, _, landed = fly(crews, faults, ground=ground_of("mbt"))
    down = set(EVERYBODY) - faults.mute
    good = {one.satellite for one in landed.record.satellites if one.outcome in WHOLE}
    assert down - faults.deaths.keys() <= good <= down  # who dies cannot answer for what an owner took along


@settings(max_examples=10, deadline=None)
@given(FAULTS)
def test_faults_replay(faults):
    first, again = (fly([crew_of("bmshj", EVERYBODY)], faults) for _ in range(2))
    assert bytes_of(first[0]) == bytes_of(again[0])


@pytest.mark.parametrize("kind", ("cut", "damaged"))
@pytest.mark.parametrize("step", (Step.HEADERS, Step.EXCHANGE))
def test_who_is_heard_by_nobody_codes_by_itself_and_the_others_go_on_without(kind, step):
    faults = Faults(**{kind: frozenset({(1, Stage(0, step))})})
    products, tasks, landed = fly([crew_of("mbt", EVERYBODY)], faults, ground=ground_of("mbt"))
    assert tasks[1].participants == (1,) and not (tasks[1].assignment.fate == REMOTE).any()
    assert all(tasks[s].participants == (0, 2, 3, 4) for s in EVERYBODY if s != 1)
    assert whole("mbt", products) == landed.images.keys() == set(EVERYBODY)


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_a_death_before_any_stage_leaves_the_others_whole(stage):
    faults = Faults(deaths={0: stage})
    _, tasks, landed = fly(
        [crew_of("elic", (0, 3)), crew_of("elic", (1, 2, 4))], faults, ground=ground_of("elic")
    )
    good = {one.satellite for one in landed.record.satellites if one.outcome in WHOLE}
    assert good - {0} == {1, 2, 3, 4} and (0 in good) == (stage.step == Step.WITNESS)
    assert set(landed.arrived.witness) == {1, 2, 3, 4}
    heard_of_it = stage.step > Step.EXCHANGE
    assert all((0 in tasks[s].participants) == heard_of_it for s in (1, 2, 3, 4))


def test_a_lonely_satellite_flies_a_round():
    products, tasks, landed = fly(
        [crew_of("bmshj", (2,))],
        Faults(damaged=frozenset({(2, Stage(0, Step.HEADERS))})),
        ground=ground_of("bmshj"),
    )
    assert set(landed.images) == {2} and tasks[2].participants == (2,) and products[2].stream


def seen_by(crew, number=0):
    return [recognise(crew.rules, view, 0.5) for view in crew.see(number, crew.numbers)]


def all_hear(messages):
    return Heard(messages, {s: frozenset(messages) for s in EVERYBODY})


def test_a_header_of_another_round_or_of_another_satellite_is_not_taken():
    crew = crew_of("bmshj", EVERYBODY)
    sent = headers(seen_by(crew))
    sound_one = Header.unpack(sent[1])
    of_yesterday = Header(1, 7, 0.5, sound_one.count, sound_one.checksum).pack()
    for false in (of_yesterday, sent[2]):
        accord = agree(crew.rules, crew.network.at(0), all_hear({**sent, 1: false}))
        assert accord.order == (0, 2, 3, 4) and set(accord.headers) == {0, 2, 3, 4}


def test_a_list_that_another_one_sent_is_heard_by_nobody():
    crew = crew_of("bmshj", EVERYBODY)
    seen = seen_by(crew)
    accord = agree(crew.rules, crew.network.at(0), all_hear(headers(seen)))
    longest = max(len(one.selection.signatures) for one in seen)
    sent = {one.satellite: one.own.pack(longest) for one in seen}
    known = understand(crew.rules, accord, all_hear({**sent, 3: sent[2]}))
    assert set(known.lists) == {0, 1, 2, 4} and known.by[3] == {3} and known.complete


def test_messages_of_the_exchange_are_as_long_as_the_longest_list_and_no_longer():
    crew = crew_of("bmshj", EVERYBODY)
    side = fly_round(crew, 0)
    send = next(side)
    assert {len(data) for data in send.messages.values()} == {send.size} == {40}
    counts = [Header.unpack(data).count for data in send.messages.values()]
    send = side.send(all_hear(send.messages))
    assert {len(data) for data in send.messages.values()} == {send.size} == {16 * max(counts)}
    side.close()


def test_the_telemetry_says_what_links_carry_and_what_the_gathering_pads_to():
    _, tasks, landed = fly([crew_of("bmshj", EVERYBODY)], ground=ground_of("bmshj"))
    counts = {s: len(task.observation.selection.signatures) for s, task in tasks.items()}
    assert len(set(counts.values())) > 1
    for satellite, witness in landed.arrived.witness.items():
        note = witness.note
        assert note.payload_bytes == 40 + 16 * counts[satellite]
        assert note.gathered_bytes == 40 + 16 * max(counts.values())


# ---------------------------------------------------------------- without DLRC


def test_without_dlrc_nobody_clusters_sends_a_map_or_pays_for_an_exchange():
    crew = crew_of("mbt", EVERYBODY, ("dlrc.enabled=false",))
    products, tasks, landed = fly([crew], ground=ground_of("mbt"))
    assert {one.outcome for one in landed.record.satellites} == {Outcome.EXACT} and not tasks
    for satellite, product in products.items():
        assert product.stream == product.alone and (product.assignment.fate == KEPT).all()
        stream, note = unpack(product.stream), landed.arrived.witness[satellite].note
        assert not stream.map and not stream.header.settings.dlrc
        assert (note.payload_bytes, note.gathered_bytes, note.t_sync_s, note.t_round_s) == (0, 0, 0.0, 0.0)
        assert [name for name, *_ in note.spans] == ["capture", "analysis", "entropy", "downlink"]


def test_without_dlrc_the_first_thing_sent_is_the_stream():
    side = fly_round(crew_of("bmshj", EVERYBODY, ("dlrc.enabled=false",)), 0)
    assert next(side).stage == Stage(0, Step.DOWNLINK)
    side.close()


# ---------------------------------------------------------------- the user's own order


def test_an_order_that_differs_between_crews_is_refused_in_one_line():
    turn = []

    def moody(headers, seed, number):
        turn.append(0)
        ids = sorted(header.satellite for header in headers)
        return ids if len(turn) % 2 else ids[::-1]

    with module_of("moody_rule", order=moody):
        words = ("priority.rule=moody_rule:order", "priority.trust=true")
        crews = [crew_of("bmshj", (0, 1), words), crew_of("bmshj", (2, 3, 4), words)]
        with pytest.raises(UserError, match="satellites 0 and 2 made different orders") as refusal:
            fly(crews)
    assert "\n" not in str(refusal.value)


def test_an_order_of_the_users_own_costs_one_word_and_damage_in_it_is_heard_by_nobody():
    def backwards(headers, seed, number):
        return sorted((header.satellite for header in headers), reverse=True)

    with module_of("backward_rule", order=backwards):
        crew = crew_of("bmshj", EVERYBODY, ("priority.rule=backward_rule:order", "priority.trust=true"))
        _, tasks, landed = fly([crew], ground=ground_of("bmshj"))
        assert not (tasks[4].assignment.fate == REMOTE).any()
        assert {one.outcome for one in landed.record.satellites} == {Outcome.EXACT}
        counts = {s: len(task.observation.selection.signatures) for s, task in tasks.items()}
        notes = {s: witness.note for s, witness in landed.arrived.witness.items()}
        assert all(notes[s].payload_bytes == 48 + 16 * counts[s] for s in EVERYBODY)
        seen = seen_by(crew)
        accord = agree(crew.rules, crew.network.at(0), all_hear(headers(seen)))
        side = fly_round(crew, 0)
        next(side)
        sent = dict(side.send(all_hear(headers(seen))).messages)
        sent[2] = bytes([sent[2][0] ^ 1]) + sent[2][1:]
        assert set(understand(crew.rules, accord, all_hear(sent)).lists) == {0, 1, 3, 4}


# ---------------------------------------------------------------- the ground's orders


def asking(*orders):
    def ground():
        yield Send(Stage(0, Step.DOWNLINK))
        answers = []
        for part, one in enumerate(orders):
            yield Send(Stage(0, Step.REQUEST, part), {GROUND: one.pack()})
            if not one.closed:
                answers.append(dict((yield Send(Stage(0, Step.ANSWER, part))).messages))
        return answers

    return ground()


def test_what_the_ground_asks_for_is_answered_until_it_closes_the_round():
    crews = [crew_of("bmshj", (0, 1)), crew_of("bmshj", (2, 3, 4))]
    orders = (
        Orders(again=frozenset({1, 3})),
        Orders(independent=frozenset({4})),
        Orders(accepted=frozenset({1})),
    )
    sides = {crew.numbers: fly_round(crew, 0) for crew in crews}
    done = together({**sides, GROUND: asking(*orders)})
    products = {**done[0, 1].products, **done[2, 3, 4].products}
    assert done[GROUND] == [{1: products[1].stream, 3: products[3].stream}, {4: products[4].alone}]
    assert done[0, 1].accepted == done[2, 3, 4].accepted == {1}


@pytest.mark.parametrize("kind", ("cut", "damaged"))
def test_orders_that_never_come_end_the_round_with_nothing_accepted(kind):
    crew = crew_of("bmshj", EVERYBODY)
    faults = Faults(**{kind: frozenset({(GROUND, Stage(0, Step.REQUEST))})})
    done = together(
        {crew.numbers: fly_round(crew, 0), GROUND: asking(Orders(accepted=frozenset({1})))}, faults
    )
    assert done[crew.numbers].accepted == frozenset()


def test_views_are_shared_by_variants_and_cannot_be_written_to():
    a, b = (crew_of("bmshj", EVERYBODY, (word,)) for word in ("dlrc.k=2", "dlrc.k=20"))
    first, second = (fly([crew])[1] for crew in (a, b))
    assert first[0].observation.view is second[0].observation.view
    assert not np.array_equal(first[0].assignment.fate, second[0].assignment.fate)
    with pytest.raises(ValueError, match="read-only"):
        first[0].observation.view.y[:] = 0
