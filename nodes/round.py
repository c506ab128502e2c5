"""One round on board, from pixels to a closed round, as a protocol: what a crew sends, and what it does with
what it hears (paper, Figure 4).

    capture, g_a -> Recognizer, Selector -> HEADERS -> EXCHANGE -> Arbiter, Filter, entropy coding
                 -> DOWNLINK -> WITNESS -> (REQUEST -> ANSWER)* until the ground has closed the round

Everything that satellites must agree on follows from what is heard, which is alike on all of them: any split
into crews gives the same bytes. Nothing raises because somebody died or a message was damaged: a stage works
on what is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

import numpy as np

from codec.entropy.order import rank
from constellation.common.errors import UserError
from constellation.network import NO_SYNC, Instant, SpaceSegment
from constellation.priority import priority_order
from constellation.scenario.scenario import Scenario
from nodes.arbiter import assignments
from nodes.capture import camera
from nodes.crew import Accord, Board, Crew, Flown, Known, Observation, Product, Rules, Task, View, load_board
from nodes.encoder import encode, encode_alone
from nodes.messages import (
    HEADER_BYTES,
    ORDER_BYTES,
    Header,
    MessageError,
    Note,
    Orders,
    SignatureList,
    Witness,
    check_order,
    pack_order,
)
from nodes.process.device import peak_rss_mib
from nodes.recognizer import content_hashes, signatures
from nodes.selector import select
from nodes.timeline import Watch, round_timeline
from nodes.wire.stages import GROUND, Heard, Send, Side, Stage, Step


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
    watch = Watch.of(scenario.clock, scenario.capture, rules.codec.model, rules.dlrc.k)
    see = camera(board, rules, scenario.scene, scenario.capture, watch)
    return Crew(tuple(numbers), board, rules, network, watch, see)


def fly_round(crew: Crew, number: int) -> Side[Flown]:
    """A crew's side of round `number`."""
    instant = crew.network.at(number)
    views = crew.see(number, crew.numbers)
    if crew.rules.dlrc.enabled:
        accord, known, tasks = yield from share(crew, instant, views)
        products = encode(crew.board, crew.rules, tasks, crew.watch)
        views = [task.observation.view for task in tasks.values()]
    else:  # nobody clusters, sends a list or waits for one
        accord, known, tasks = nobody(instant), Known({}, {}), {}
        products = encode_alone(crew.board, crew.rules, views)
    witnesses = {
        view.look.satellite: witness(crew, instant, (accord, known), (view, products[view.look.satellite]))
        for view in views
    }
    accepted = yield from hand_down(crew, number, products, witnesses)
    notes = {satellite: one.note for satellite, one in witnesses.items()}
    return Flown(accord, tasks, products, notes, accepted)


def share(crew: Crew, instant: Instant, views: Sequence[View]) -> Side[tuple[Accord, Known, dict[int, Task]]]:
    """HEADERS and EXCHANGE: what this crew's satellites have to code, now that they have heard of the
    others."""
    rules, number = crew.rules, instant.number
    seen = []
    for view in views:
        with crew.watch.span("hash", view.look.satellite):
            seen.append(recognise(rules, view, instant.metric(view.look.satellite, crew.rules.priority.rule)))
    heard = yield Send(Stage(number, Step.HEADERS), headers(seen), HEADER_BYTES)
    accord = agree(rules, instant, heard)
    seen = alive(seen, heard)
    heard = yield Send(
        Stage(number, Step.EXCHANGE), payloads(rules, accord, seen), accord.size, accord.hearers
    )
    known = understand(rules, accord, heard)
    seen = alive(seen, heard)
    return accord, known, arbitrate(crew, accord, known, seen)


def recognise(rules: Rules, view: View, metric: float) -> Observation:
    """Recognizer and Selector: clusters by ground footprint, by content, or by LSH, and the list to send."""
    y, look = view.y, view.look
    if rules.dlrc.dedup == "footprint":
        found = look.footprint.reshape(-1)
    elif rules.dlrc.signature == "content":
        found = content_hashes(np.rint(y).astype(np.int32))
    else:
        found = signatures(y, rules.hashes)
    selection = select(y, found, rank(rules.passes, *y.shape[1:]), rules.dlrc.representative)
    contents = selection.contents if rules.with_contents else None
    own = SignatureList.of((look.satellite, look.round), metric, selection.signatures, contents)
    return Observation(view, selection, own)


def headers(seen: Sequence[Observation]) -> dict[int, bytes]:
    """The messages of HEADERS."""
    return {one.satellite: one.own.header.pack() for one in seen}


def agree(rules: Rules, instant: Instant, heard: Heard) -> Accord:
    """From the headers of a round: who takes part, in which order, and whom the links let hear whom.

    A header counts if it is whole, says whose it is, is of this round, and reached everybody alive. Raises
    `UserError` for a rule of the user's that fails.
    """
    found = {}
    for sender, data in heard.messages.items():
        if sender in heard.by and all(sender in senders for senders in heard.by.values()):
            try:
                header = Header.unpack(data)
            except MessageError:
                continue
            if (header.satellite, header.round) == (sender, instant.number):
                found[sender] = header
    order = priority_order(rules.priority.rule, list(found.values()), rules.seed, instant.number)
    sync = instant.exchange({s: rules.payload_bytes(header.count) for s, header in found.items()})
    size = rules.list_bytes(max((header.count for header in found.values()), default=0)) if found else 0
    return Accord(order, found, sync.hearers, size, sync)


def nobody(instant: Instant) -> Accord:
    """The accord of a round in which nobody exchanges anything."""
    return Accord(tuple(range(len(instant.members))), {}, {}, 0, NO_SYNC)


def alive(seen: Sequence[Observation], heard: Heard) -> list[Observation]:
    """Those whose satellite lives: who is not in `by` of a gathering is dead."""
    return [one for one in seen if one.satellite in heard.by]


def payloads(rules: Rules, accord: Accord, seen: Sequence[Observation]) -> dict[int, bytes]:
    """The messages of EXCHANGE, padded to the longest list that was announced; none for a satellite whose
    header nobody took."""
    longest = max((header.count for header in accord.headers.values()), default=0)
    ahead = pack_order(accord.order) if rules.own_order else b""
    return {one.satellite: ahead + one.own.pack(longest) for one in seen if one.satellite in accord.headers}


def understand(rules: Rules, accord: Accord, heard: Heard) -> Known:
    """From the lists of a round: those that everybody may rely on, and who heard which.

    A list that does not fit its header was heard by nobody; a living satellite whose list reached nobody
    codes by itself, so only a death loses an image. Raises `UserError` where satellites disagree about the
    order.
    """
    ahead = ORDER_BYTES if rules.own_order else 0
    lists, orders = {}, {}
    for sender, data in heard.messages.items():
        if sender not in accord.headers or not _reached(sender, accord.hearers, heard):
            continue
        try:
            orders[sender] = check_order(data[:ahead]) if ahead else b""
            lists[sender] = SignatureList.unpack(accord.headers[sender], data[ahead:], rules.with_contents)
        except MessageError:
            continue
    _check_orders(rules, orders)
    by = {
        receiver: frozenset({receiver} | (senders & lists.keys()) if receiver in lists else {receiver})
        for receiver, senders in heard.by.items()
    }
    return Known(lists, by)


def _reached(sender: int, hearers, heard: Heard) -> bool:
    """Whether a list got to anybody but its sender, where there is anybody that the links let it reach."""
    meant = hearers[sender] - {sender}
    return not meant or any(sender in senders for other, senders in heard.by.items() if other != sender)


def _check_orders(rules: Rules, orders: dict[int, bytes]) -> None:
    groups: dict[bytes, list[int]] = {}
    for satellite, digest in orders.items():
        groups.setdefault(digest, []).append(satellite)
    if len(groups) > 1:
        (a, *_), (b, *_) = sorted(groups.values())[:2]
        raise UserError(
            f"priority.rule={rules.priority.rule}: satellites {a} and {b} made different orders of the same "
            "headers, expected a function of (headers, seed, round) alone"
        )


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
    spans = round_timeline(
        crew.watch.times(look.satellite),
        t_sync_s if shares else None,
        downlink_s,
        rules.codec.grid == "fixed",
        instant.time_s,
    )
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
        gathered_bytes=HEADER_BYTES + accord.size if shares else 0,
        t_sync_s=t_sync_s,
        t_round_s=accord.sync.t_round_s,
        open_y_bits=product.estimate_bits,
        spans=tuple((span.name, span.start_s, span.duration_s, span.category) for span in spans),
        peak_rss_mib=peak_rss_mib(),
    )
    return Witness(look.image, product.alone, len(product.stream), note, look.valid)


def hand_down(
    crew: Crew, number: int, products: Mapping[int, Product], witnesses: Mapping[int, Witness]
) -> Side[frozenset[int]]:
    """DOWNLINK and WITNESS, then ANSWER to what the ground asks until it closes the round: whose streams it
    accepted; nobody's where its orders never came."""
    yield Send(Stage(number, Step.DOWNLINK), {s: product.stream for s, product in products.items()})
    yield Send(Stage(number, Step.WITNESS), {s: one.pack() for s, one in witnesses.items()})
    for part in count():
        heard = yield Send(Stage(number, Step.REQUEST, part))
        try:
            orders = Orders.unpack(heard.messages[GROUND])
        except (KeyError, MessageError):
            return frozenset()
        if orders.closed:
            return orders.accepted
        again = {s: products[s].stream for s in orders.again if s in products}
        alone = {s: products[s].alone for s in orders.independent if s in products}
        yield Send(Stage(number, Step.ANSWER, part), {**again, **alone})
    raise AssertionError("the ground closes every round")
