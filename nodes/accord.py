"""What all satellites of a round agree on, from its two exchanges: who takes part and in which order, who
heard whom, and what.

Everything here follows from what is heard, which is alike on all satellites, so that any split into crews
gives the same. Nothing raises because somebody died or a message was damaged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from constellation.common.errors import UserError
from constellation.network import NO_SYNC, Instant
from constellation.priority import priority_order
from constellation.sync.scope import Audience, audience_of
from nodes.capture import patch_offset
from nodes.crew import Accord, Known, Observation, Offering, Rules
from nodes.messages import ORDER_BYTES, Header, MessageError, SignatureList, check_order, pack_order
from nodes.streams.offer import Offer
from nodes.wire.stages import Heard

Seen = Observation | Offering  # a view, and what its satellite sends of it
S = TypeVar("S", Observation, Offering, Seen)


def headers(seen: Sequence[Seen]) -> dict[int, bytes]:
    """The messages of HEADERS."""
    return {one.satellite: one.own.header.pack() for one in seen}


def agree(rules: Rules, instant: Instant, heard: Heard) -> Accord:
    """From the headers of a round: who takes part, in which order, and whom the links let hear whom.

    A header counts if it is whole, says whose it is and, where streams are exchanged, what of the ground it
    sees, is of this round, and reached everybody alive. Raises `UserError` for a rule of the user's that
    fails.
    """
    found = {}
    everywhere = frozenset.intersection(*set(heard.by.values())) if heard.by else frozenset()
    for sender, data in heard.messages.items():
        if sender in heard.by and sender in everywhere:
            try:
                header = Header.unpack(data)
            except MessageError:
                continue
            placed = (header.place is not None) == rules.dlrc.streams
            if placed and (header.satellite, header.round) == (sender, instant.number):
                found[sender] = header
    order = priority_order(rules.priority.rule, list(found.values()), rules.seed, instant.number)
    audience = audience_of_round(rules, instant.number, found)
    without = idle(instant, heard.by) - found.keys()
    listening = without & heard.by.keys() if rules.dlrc.listen and found else frozenset()
    sizes = {s: rules.payload_bytes(header.count) for s, header in found.items()}
    sync = instant.exchange(sizes | dict.fromkeys(listening, 0), audience)
    hearers = {s: sync.hearers[s] for s in found}
    size = rules.list_bytes(max((header.count for header in found.values()), default=0)) if found else 0
    return Accord(order, found, hearers, size, sync, without, listening)


def idle(instant: Instant, alive: Iterable[int] = ()) -> frozenset[int]:
    """Where orbits decide: participants that have nothing to look at, and those alive, who may find that they
    see too little."""
    if not instant.sightings:
        return frozenset()
    return frozenset(range(len(instant.members))) - instant.sightings.keys() | frozenset(alive)


def audience_of_round(rules: Rules, number: int, satellites: Iterable[int]) -> Audience | None:
    """Whom each satellite's message is meant for (`sync.scope`); None: for everybody. Where each is to look
    is planned, so no message is needed for it."""
    if rules.scope == "all":
        return None
    corners = {s: patch_offset(rules.capture, rules.seed, number, s) for s in satellites}
    return audience_of(rules.scope, corners, rules.capture.patch_px)


def nobody(instant: Instant) -> Accord:
    """The accord of a round in which nobody exchanges anything."""
    return Accord(tuple(range(len(instant.members))), {}, {}, 0, NO_SYNC, idle(instant))


def alive(seen: Sequence[S], heard: Heard) -> list[S]:
    """Those whose satellite lives: who is not in `by` of a gathering is dead."""
    return [one for one in seen if one.satellite in heard.by]


def payloads(rules: Rules, accord: Accord, seen: Sequence[Seen]) -> dict[int, bytes]:
    """The messages of EXCHANGE, padded to the longest that was announced; none for a satellite whose header
    nobody took."""
    longest = max((header.count for header in accord.headers.values()), default=0)
    ahead = pack_order(accord.order) if rules.own_order else b""
    return {one.satellite: ahead + one.own.pack(longest) for one in seen if one.satellite in accord.headers}


def understand(rules: Rules, accord: Accord, heard: Heard) -> Known:
    """From the lists of a round, or its streams: those that everybody may rely on, and who heard which.

    One that does not fit its header was heard by nobody; a living satellite of whom nothing reached anybody
    codes by itself, so only a death loses an image. Raises `UserError` where satellites disagree about the
    order.
    """
    ahead = ORDER_BYTES if rules.own_order else 0
    lists: dict[int, SignatureList] = {}
    offers: dict[int, Offer] = {}
    orders = {}
    elsewhere: set[int] = set()
    for sender, data in heard.messages.items():
        if sender not in accord.headers or not _reached(sender, accord.hearers, heard):
            continue
        try:
            if not data and accord.size:  # for others, elsewhere: whole there, unless it was spoiled
                elsewhere |= {sender} - heard.spoiled
                continue
            orders[sender] = check_order(data[:ahead]) if ahead else b""
            header, body = accord.headers[sender], data[ahead:]
            if rules.dlrc.streams:
                offers[sender] = Offer.unpack(header, body)
            else:
                lists[sender] = SignatureList.unpack(header, body, rules.with_contents)
        except MessageError:
            continue
    _check_orders(rules, orders)
    whole = lists.keys() | offers.keys() | elsewhere
    hear = whole | accord.listening
    by = {
        receiver: frozenset({receiver} | (senders & whole) if receiver in hear else {receiver})
        for receiver, senders in heard.by.items()
    }
    return Known(lists, by, offers)


def _reached(sender: int, hearers: Mapping[int, frozenset[int]], heard: Heard) -> bool:
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
