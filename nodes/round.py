"""One round on board, from pixels to a closed round, as a protocol: what a crew sends, and what it does with
what it hears (paper, Figure 4). The second line is `dlrc.exchange=streams`.

    capture, g_a -> Recognizer, Selector -> HEADERS -> EXCHANGE -> Arbiter, Filter, entropy coding
                 -> entropy coding       -> HEADERS -> EXCHANGE -> prediction, entropy coding
                 -> DOWNLINK -> WITNESS -> (REQUEST -> ANSWER)* until the ground has closed the round

Everything that satellites must agree on follows from what is heard, which is alike on all of them: any split
into crews gives the same bytes. Nothing raises because somebody died or a message was damaged: a stage works
on what is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

import numpy as np

from codec.entropy.order import rank
from constellation.network import Instant, SpaceSegment
from constellation.scenario.scenario import Scenario
from nodes.accord import S, agree, alive, headers, nobody, payloads, understand
from nodes.arbiter import assignments
from nodes.crew import Accord, Crew, Flown, Known, Observation, Offering, Product, Rules, Task, View
from nodes.encoder import alone_stream, encode, encode_alone
from nodes.lists.entries import Entries, recall
from nodes.lists.keeping import kept_of, understood
from nodes.memory import Closing, Memory, Reach, past_of
from nodes.messages import MessageError, Note, Orders, SignatureList, Witness
from nodes.process.board import Board, load_board
from nodes.process.device import peak_rss_mib
from nodes.recognizer import content_hashes, signatures
from nodes.selector import select
from nodes.sights.seeing import orbital, seeing, windowed
from nodes.streams.offer import Offer
from nodes.streams.predict import predict
from nodes.timeline import Watch, round_timeline, stream_timeline
from nodes.wire.stages import GROUND, Send, Side, Stage, Step


def crew_of(
    scenario: Scenario,
    numbers: Sequence[int],
    board: Board | None = None,
    network: SpaceSegment | None = None,
) -> Crew:
    """The satellites `numbers` of a run. board, network: shared by crews of one process; else loaded. Raises
    `UserError`."""
    network = network or SpaceSegment(scenario)
    board = board or load_board(scenario.codec)
    rules = Rules.of(scenario, board.model)
    if rules.dlrc.streams:
        board.predictor  # noqa: B018  # its weights are there, or this says so before any round
    watch = Watch.of(scenario.clock, scenario.capture, rules.codec.flown, rules.dlrc.k)
    seen, scaled = (scenario.scene, scenario.capture), board.checkpoint.bands
    if scenario.orbital:
        looker = orbital(network, scenario, seen, scaled)
    else:
        looker = windowed(*seen, scenario.seed, scaled)
    reach = Reach.of(scenario.dlrc, scenario.faults)
    memory = None if reach is None else Memory(reach)
    return Crew(tuple(numbers), board, rules, network, watch, seeing(board, rules, looker, watch), memory)


def fly_round(crew: Crew, number: int) -> Side[Flown]:
    """A crew's side of round `number`."""
    instant = crew.network.at(number)
    views = crew.see(number, crew.numbers)
    accord, known, tasks = nobody(instant), Known({}, {}), {}
    if not crew.rules.dlrc.enabled:  # nobody clusters, sends a list or waits for one
        products = encode_alone(crew.board, crew.rules, views)
    elif crew.rules.dlrc.streams:
        offered = [_offered(crew, instant, view) for view in views]
        accord, known, offered = yield from share(crew, instant, offered)
        views = [one.view for one in offered]
        products = predict(crew, accord, known, views)
    else:
        seen = [_recognised(crew, instant, view) for view in views]
        accord, known, seen = yield from share(crew, instant, seen)
        views = [one.view for one in seen]
        if crew.memory is not None:
            known = replace(known, entries=kept_of(crew.rules, accord.order, known, crew.numbers))
        tasks = arbitrate(crew, accord, known, seen)
        products = encode(crew.board, crew.rules, tasks, crew.watch)
    witnesses = {
        view.look.satellite: witness(crew, instant, (accord, known), (view, products[view.look.satellite]))
        for view in views
    }
    closing = yield from hand_down(crew, number, products, witnesses)
    if crew.memory is not None:
        streams = crew.rules.dlrc.streams
        past = (known.offers, known.by) if streams else (known.entries, understood(known.by))
        crew.memory.close(number, past_of(*past, closing))
    notes = {satellite: one.note for satellite, one in witnesses.items()}
    return Flown(accord, tasks, products, notes, closing.accepted)


def share(crew: Crew, instant: Instant, seen: list[S]) -> Side[tuple[Accord, Known, list[S]]]:
    """HEADERS and EXCHANGE: what all agree on, and those of `seen` whose satellites live."""
    rules, number = crew.rules, instant.number
    heard = yield Send(Stage(number, Step.HEADERS), headers(seen), rules.header_bytes)
    accord, waited_s = agree(rules, instant, heard), heard.waited_s
    seen = alive(seen, heard)
    heard = yield Send(
        Stage(number, Step.EXCHANGE),
        payloads(rules, accord, seen),
        accord.size,
        accord.hearers,
        sparse=rules.scope != "all",
    )
    if waited_s := waited_s + heard.waited_s:
        accord = replace(accord, sync=accord.sync.later(waited_s))
    return accord, understand(rules, accord, heard), alive(seen, heard)


def _recognised(crew: Crew, instant: Instant, view: View) -> Observation:
    satellite = view.look.satellite
    with crew.watch.span("hash", satellite):
        earlier = None if crew.memory is None else crew.memory.entries(satellite, instant.number)
        return recognise(crew.rules, view, instant.metric(satellite, crew.rules.priority.rule), earlier)


def _offered(crew: Crew, instant: Instant, view: View) -> Offering:
    look = view.look
    row, col, window_row, window_col, _ = look.place
    metric = instant.metric(look.satellite, crew.rules.priority.rule)
    stream = alone_stream(crew.board, crew.rules, view)
    place = round(row) + window_row, round(col) + window_col
    return Offering(view, Offer.of((look.satellite, look.round), metric, stream, place))


def recognise(
    rules: Rules, view: View, metric: float, earlier: Mapping[int, Entries] | None = None
) -> Observation:
    """Recognizer and Selector: clusters by ground footprint, by content, or by LSH, and the list to send.
    earlier: lists that are remembered, by number; None: none ever is."""
    y, look = view.y, view.look
    if rules.dlrc.dedup == "footprint":
        found = look.footprint.reshape(-1)
    elif rules.dlrc.signature == "content":
        found = content_hashes(np.rint(y).astype(np.int32))
    else:
        found = signatures(y, rules.hashes)
    selection = select(y, found, rank(rules.passes, *y.shape[1:]), rules.dlrc.representative)
    recalled = None if earlier is None else recall(earlier, selection.signatures)
    contents = selection.contents if rules.with_contents else None
    if recalled is not None and contents is not None:  # what the ground will have, not what was seen
        contents = np.where(recalled.owner >= 0, recalled.contents, contents)
    own = SignatureList.of((look.satellite, look.round), metric, selection.signatures, contents)
    return Observation(view, selection, own, recalled)


def arbitrate(crew: Crew, accord: Accord, known: Known, seen: Sequence[Observation]) -> dict[int, Task]:
    """Who codes what, by satellite."""
    maps = assignments(crew.rules, accord.order, known, seen, crew.watch)
    identity = crew.rules.identity(accord.headers)
    return {
        s: Task(one, maps[s], tuple(sorted(known.by[s])), identity) for one in seen for s in (one.satellite,)
    }


def witness(
    crew: Crew, instant: Instant, agreed: tuple[Accord, Known], made: tuple[View, Product]
) -> Witness:
    """What the ground is told of one satellite outside the simulated link. agreed: of the round; made: of the
    satellite."""
    (accord, known), (view, product) = agreed, made
    look, rules, shares = view.look, crew.rules, bool(known.by)
    t_sync_s = accord.sync.t_sync_s.get(look.satellite, 0.0)
    downlink_s = 8 * len(product.stream) / instant.downlink_rate_bps(look.satellite)
    times = crew.watch.times(look.satellite, product.work)
    if rules.dlrc.streams:
        spans = stream_timeline(times, t_sync_s, downlink_s, instant.time_s)
    else:
        overlaps = rules.codec.grid == "fixed"
        spans = round_timeline(times, t_sync_s if shares else None, downlink_s, overlaps, instant.time_s)
    row, col, window_row, window_col, scene = look.place
    header = accord.headers.get(look.satellite)
    note = Note(
        satellite=look.satellite,
        round=look.round,
        row=row,
        col=col,
        window_row=window_row,
        window_col=window_col,
        scene=scene,
        order=accord.order,
        heard=tuple(sorted(known.by.get(look.satellite, {look.satellite}))),
        payload_bytes=rules.payload_bytes(header.count) if header else 0,
        gathered_bytes=rules.header_bytes + accord.size if shares else 0,
        t_sync_s=t_sync_s,
        t_round_s=accord.sync.t_round_s,
        open_y_bits=product.estimate_bits,
        spans=tuple((span.name, span.start_s, span.duration_s, span.category) for span in spans),
        peak_rss_mib=peak_rss_mib(),
        geometry=look.geometry,
        offered=True if look.satellite in known.offers else None,
        entries=known.entries[look.satellite].pack() if look.satellite in known.entries else None,
        bystanders=tuple((s, tuple(sorted(known.by.get(s, {s}) - {s}))) for s in sorted(accord.idle)) or None,
    )
    return Witness(look.image, product.alone, len(product.stream), note, look.valid)


def hand_down(
    crew: Crew, number: int, products: Mapping[int, Product], witnesses: Mapping[int, Witness]
) -> Side[Closing]:
    """DOWNLINK and WITNESS, then ANSWER to what the ground asks until it closes the round: how it ended;
    nobody's stream is accepted where its orders never came."""
    asked: frozenset[int] = frozenset()
    yield Send(Stage(number, Step.DOWNLINK), {s: product.stream for s, product in products.items()})
    yield Send(Stage(number, Step.WITNESS), {s: one.pack() for s, one in witnesses.items()})
    for part in count():
        heard = yield Send(Stage(number, Step.REQUEST, part))
        try:
            orders = Orders.unpack(heard.messages[GROUND])
        except (KeyError, MessageError):
            return Closing(alone=asked)
        informed = frozenset(s for s, senders in heard.by.items() if GROUND in senders)
        if orders.closed:
            return Closing(orders.accepted, informed, asked)
        asked |= orders.independent & informed
        again = {s: products[s].stream for s in orders.again if s in products}
        alone = {s: products[s].alone for s in orders.independent if s in products}
        yield Send(Stage(number, Step.ANSWER, part), {**again, **alone})
    raise AssertionError("the ground closes every round")
