"""Both sides of an acknowledged transfer, against cfdp-py's handlers through the same losses."""

import contextlib

import numpy as np
import pytest
from cfdppy import PacketDestination, get_packet_destination
from cfdppy.exceptions import PduIgnoredForSource
from cfdppy.filestore import NativeFilestore
from cfdppy.handler.dest import DestHandler
from cfdppy.handler.source import SourceHandler
from cfdppy.mib import (
    CheckTimerProvider,
    DefaultFaultHandlerBase,
    EntityType,
    IndicationConfig,
    LocalEntityConfig,
    RemoteEntityConfig,
    RemoteEntityConfigTable,
)
from cfdppy.request import PutRequest
from cfdppy.user import CfdpUserBase
from hypothesis import given, settings
from hypothesis import strategies as st
from spacepackets.cfdp import ChecksumType, DirectiveType, TransmissionMode
from spacepackets.countdown import Countdown
from spacepackets.seqcount import SeqCountProvider
from spacepackets.util import ByteFieldU16

from constellation.passes.delivery.cfdp import Ack, Data, Eof, Finished, Metadata, Nak, Receiver, Sender

SEGMENT = 100
TIMER_S = 10.0
CLOCK_MS = [0]  # that cfdp-py's timers look at
BOARD, GROUND = ByteFieldU16(1), ByteFieldU16(2)


@pytest.fixture(autouse=True)
def timers_run_out_when_nothing_moves(monkeypatch):
    monkeypatch.setattr("spacepackets.countdown.time_ms", lambda: CLOCK_MS[0])


class Silent(DefaultFaultHandlerBase):
    def notice_of_suspension_cb(self, *_): ...
    def notice_of_cancellation_cb(self, *_): ...
    def abandoned_cb(self, *_): ...
    def ignore_cb(self, *_): ...


class User(CfdpUserBase):
    def __init__(self):
        super().__init__(vfs=NativeFilestore())

    def transaction_indication(self, *_): ...
    def eof_sent_indication(self, *_): ...
    def transaction_finished_indication(self, *_): ...
    def metadata_recv_indication(self, *_): ...
    def file_segment_recv_indication(self, *_): ...
    def report_indication(self, *_): ...
    def suspended_indication(self, *_): ...
    def resumed_indication(self, *_): ...
    def fault_indication(self, *_): ...
    def abandoned_indication(self, *_): ...
    def eof_recv_indication(self, *_): ...


class Timers(CheckTimerProvider):
    def provide_check_timer(self, local_entity_id, remote_entity_id, entity_type: EntityType):
        return Countdown.from_seconds(TIMER_S)


def kept(folder, size):
    """cfdp-py's two handlers, and the file that they carry."""
    source, target = folder / "source", folder / "target"
    source.write_bytes(np.random.default_rng(size).bytes(size))
    target.unlink(missing_ok=True)
    quiet = IndicationConfig(*[False] * 6)

    def remote(number):
        return RemoteEntityConfigTable(
            [
                RemoteEntityConfig(
                    number, SEGMENT, 2048, False, False, TransmissionMode.ACKNOWLEDGED, ChecksumType.CRC_32,
                    positive_ack_timer_interval_seconds=TIMER_S, positive_ack_timer_expiration_limit=99,
                    nak_timer_interval_seconds=TIMER_S, nak_timer_expiration_limit=99,
                    immediate_nak_mode=False,
                )
            ]
        )  # fmt: skip

    board = SourceHandler(
        LocalEntityConfig(BOARD, quiet, Silent()), User(), remote(GROUND), Timers(), SeqCountProvider(16)
    )
    ground = DestHandler(LocalEntityConfig(GROUND, quiet, Silent()), User(), remote(BOARD), Timers())
    board.put_request(PutRequest(GROUND, source, target, None, None))
    return board, ground, source, target


def told(pdu):
    """A unit of cfdp-py in our words."""
    kind = getattr(pdu, "directive_type", None)
    if kind is None:
        return ("data", pdu.offset, pdu.offset + len(pdu.file_data))
    if kind == DirectiveType.ACK_PDU:
        acked = pdu.directive_code_of_acked_pdu
        return ("ack", "eof" if acked == DirectiveType.EOF_PDU else "finished")
    if kind == DirectiveType.NAK_PDU:
        return ("nak", *pdu.segment_requests)
    return ({DirectiveType.METADATA_PDU: "metadata", DirectiveType.EOF_PDU: "eof"}.get(kind, "finished"),)


def ours_told(unit):
    if isinstance(unit, Data):
        return ("data", unit.begin, unit.end)
    if isinstance(unit, Ack):
        return ("ack", "eof" if unit.of is Eof else "finished")
    if isinstance(unit, Nak):
        return ("nak", *unit.requests)
    return ({Metadata: "metadata", Eof: "eof", Finished: "finished"}[type(unit)],)


def fly_kept(folder, size, losses):
    """What cfdp-py sends, in order, while `losses` says unit by unit what the link takes: down, then up."""
    board, ground, source, target = kept(folder, size)
    down, up, log, sizes = list(losses[0]), list(losses[1]), [], {}

    def pump(handler, lost, mark, hear):
        sent = False
        while handler.packets_ready:
            pdu = handler.get_next_packet().pdu
            log.append((mark, *told(pdu)))
            sizes.setdefault(told(pdu)[0], len(pdu.pack()))
            sent = True
            if not (lost.pop(0) if lost else False):
                hear(pdu)
        return sent

    def to_ground(pdu):
        assert get_packet_destination(pdu) == PacketDestination.DEST_HANDLER
        inbox_ground.append(pdu)

    inbox_ground, inbox_board = [], []
    idle = 0
    for _ in range(500):
        if idle == 3:
            break
        active = False
        with contextlib.suppress(PduIgnoredForSource):
            board.state_machine(inbox_board.pop(0) if inbox_board else None)
        active |= pump(board, down, "down", to_ground)
        for pdu in [inbox_ground.pop(0) for _ in range(len(inbox_ground))]:
            ground.state_machine(pdu)
            active |= pump(ground, up, "up", inbox_board.append)
            ground.state_machine()
            active |= pump(ground, up, "up", inbox_board.append)
        if not active and not inbox_board:
            CLOCK_MS[0] += 11_000
            ground.state_machine()
            active |= pump(ground, up, "up", inbox_board.append)
            if not active:
                board.state_machine()
                active |= pump(board, down, "down", to_ground)
        idle = 0 if active or inbox_board else idle + 1
    return log, target.is_file() and target.read_bytes() == source.read_bytes(), sizes


def fly_ours(size, losses):
    """The same with our machines, one unit at a time."""
    sender, receiver = Sender(size, SEGMENT), Receiver()
    down, up, log = list(losses[0]), list(losses[1]), []
    for _ in range(10_000):
        units = sender.take(SEGMENT)
        answers = []
        for unit in units:
            log.append(("down", *ours_told(unit)))
            if not (down.pop(0) if down else False):
                answers += receiver.hear(unit, size)
        if not units:
            answers = receiver.expire()
            if not answers and sender.waits:
                sender.expire()
                continue
            if not answers:
                break
        for answer in answers:
            log.append(("up", *ours_told(answer)))
            if not (up.pop(0) if up else False):
                sender.hear(answer)
    return log, receiver, sender


def test_units_are_as_long_as_cfdp_pys(tmp_path):
    losses = ([False, False, True], [])
    log, done, sizes = fly_kept(tmp_path, 300, losses)
    assert done and ("up", "nak", (100, 200)) in log
    assert sizes["eof"] == Eof().size_bytes
    assert sizes["ack"] == Ack(Eof).size_bytes
    assert sizes["nak"] == Nak(((0, 1),)).size_bytes
    assert sizes["finished"] == Finished().size_bytes
    assert sizes["data"] == SEGMENT + 14


@pytest.mark.parametrize(
    "losses",
    [
        ([], []),
        ([False, True], []),
        ([False] * 5 + [True], []),
        ([False, True, False, True, False, False, True], []),
        ([False, False, True], [False, True]),
        ([False, True, True, True, True, False, True], [False, True, False, True]),
    ],
    ids=["none", "data", "eof", "data twice", "nak", "much"],
)
def test_every_unit_is_the_one_that_cfdp_py_sends(tmp_path, losses):
    log, done, _ = fly_kept(tmp_path, 350, losses)
    ours, receiver, _ = fly_ours(350, losses)
    assert done and receiver.complete
    assert ours == log


def test_a_finished_file_needs_no_acknowledgement_of_its_end_where_cfdp_py_ignores_that_it_is_finished(
    tmp_path,
):
    log, done, _ = fly_kept(tmp_path, 350, ([], [True]))
    ours, receiver, _ = fly_ours(350, ([], [True]))
    assert done and receiver.closed
    assert [e for e in log if e[1] == "data"] == [e for e in ours if e[1] == "data"]
    assert ours.count(("up", "finished")) == 1 < log.count(("up", "finished"))


def test_data_that_comes_before_lost_metadata_is_kept_where_cfdp_py_asks_for_it_again(tmp_path):
    log, done, _ = fly_kept(tmp_path, 350, ([True], []))
    ours, receiver, sender = fly_ours(350, ([True], []))
    assert done and receiver.complete and sender.again == 0
    assert ("up", "nak", (0, 0), (0, 350)) in log and ("up", "nak", (0, 0)) in ours


@given(st.integers(0, 700), st.integers(0, 2**30), st.floats(0, 0.6))
@settings(max_examples=300, deadline=None)
def test_whatever_is_lost_the_file_arrives_and_the_bytes_add_up(size, seed, loss):
    draws = np.random.default_rng(seed)
    losses = (draws.random(3000) < loss).tolist(), (draws.random(3000) < loss).tolist()
    log, receiver, sender = fly_ours(size, losses)
    assert receiver.complete and receiver.fresh == size == sender.first
    sent = sum(entry[3] - entry[2] for entry in log if entry[:2] == ("down", "data"))
    assert sent == sender.first + sender.again >= receiver.fresh + receiver.twice


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=30))
def test_what_came_is_counted_once_and_what_came_again_apart(pieces):
    receiver, seen, twice = Receiver(), set(), 0
    for begin, length in pieces:
        cells = set(range(begin, begin + length))
        twice += len(cells & seen)
        seen |= cells
        receiver.hear(Data(begin, begin + length))
    assert (receiver.fresh, receiver.twice) == (len(seen), twice)
    receiver.hear(Metadata())
    receiver.hear(Eof(), 80)
    gaps = {cell for begin, end in receiver.missing for cell in range(begin, end)}
    assert gaps == set(range(80)) - seen
