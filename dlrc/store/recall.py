"""What both ends remember of stored rounds (`dlrc.memory=rounds`), after a break or an accident: read from
the run's folder, so that a run that goes on flies the bytes that it would have flown."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from codec.fields import MAX_STREAM_BYTES
from constellation.common.errors import UserError
from constellation.scenario.scenario import Scenario
from dlrc.store.folder import ENTRIES, folder_of, name_of
from dlrc.store.manifest import inputs_of, inputs_sha256
from dlrc.store.summary import Facts
from dlrc.version import __version__
from ground.records import RoundRecord, SatelliteRecord
from ground.round import Station
from nodes.lists.entries import Entries
from nodes.lists.keeping import understood
from nodes.memory import GroundMemory, Memory, Past, Recall
from nodes.messages import MessageError, Orders
from nodes.process.board import Board
from nodes.streams.neighbours import decoded
from nodes.streams.offer import Offer
from nodes.wire.faults import Faults
from nodes.wire.schedule import faults_of_run
from nodes.wire.stages import Stage, Step


def remember(memory: Memory | GroundMemory | None, scenario: Scenario, board: Board, number: int) -> None:
    """Before round `number`, what a memory lacks, from the folder of the run; nothing where nothing is kept
    or stored."""
    if memory is None or not number:
        return
    if isinstance(memory, Memory):
        memory.restore(number, recall_of(scenario, board))
    elif scenario.dlrc.streams:
        memory.restore(
            number, recall_of(scenario, board), lambda offer: decoded(board, scenario.codec, offer)
        )
    elif memory.lacks(number):
        _decode_again(memory, board, rounds_of(scenario, board), number)


def _decode_again(memory: GroundMemory, board: Board, rounds: Path, number: int) -> None:
    """What streams that refer to lists gave, from the first round on: each may refer to those before it."""
    station = Station(board, memory)
    for round_ in range(number):
        folder = rounds / f"{round_:03d}"
        try:
            record = RoundRecord.from_json((folder / "record.json").read_bytes())
            came = {one.satellite: folder / _name(one, "dlrc.bin") for one in record.satellites}
            streams = {(s, round_): _read(path) for s, path in came.items() if path.is_file()}
        except (OSError, UserError, MessageError):
            continue
        read = station.decode(streams)
        exact = {one.satellite for one in record.satellites if one.exact}
        station.remember(round_, Orders(accepted=frozenset(s for s, _ in read.whole if s in exact)), read)


def recall_of(scenario: Scenario, board: Board) -> Recall:
    """Reads rounds of a run that is being flown."""
    size = scenario.satellites, scenario.rounds
    faults = faults_of_run(scenario.faults, scenario.ground, size, scenario.orbit.step_s, scenario.seed)
    rounds = rounds_of(scenario, board)
    return lambda number: past_in(rounds / f"{number:03d}", faults, scenario.dlrc.streams)


def rounds_of(scenario: Scenario, board: Board) -> Path:
    """Where a run that is being flown keeps its rounds."""
    facts = Facts.model_construct(
        version=__version__,
        weights_sha256=board.checkpoint.sha256,
        pictures_sha256=inputs_sha256(inputs_of(scenario)),
    )
    path = folder_of(scenario, facts)
    return path.with_name(path.name + ".part") / "rounds"


def past_in(folder: Path, faults: Faults, streams: bool) -> Past | None:
    """What is kept of a stored round, streams or entries of lists; None where it is not there whole."""
    try:
        record = RoundRecord.from_json((folder / "record.json").read_bytes())
        exact = [one for one in record.satellites if one.exact and one.place is not None]
        offers = _offers(folder, exact) if streams else _entries(folder, exact)
    except (OSError, UserError, MessageError):
        return None
    told = {one.satellite: one.heard for one in record.satellites}
    told = {s: heard for s, heard in record.bystanders if heard} | told
    nodes = frozenset(told)
    informed = faults.alive(nodes, Stage(record.number, Step.REQUEST))
    by = {s: frozenset(heard) for s, heard in told.items()}
    known = by if streams else understood(by)
    heard = {satellite: known[satellite] & offers.keys() for satellite in known.keys() & informed}
    asked = [one for one in record.satellites if any(sent.kind == "independent" for sent in one.accounts)]
    return Past(offers, heard, frozenset(one.satellite for one in asked) & informed)


def _offers(folder: Path, records: Iterable[SatelliteRecord]) -> dict[int, Offer]:
    found = {}
    for one in records:
        if one.offered and one.place is not None:
            corner = one.place.row + one.place.window_row, one.place.col + one.place.window_col
            stream = _read(folder / _name(one, "independent.bin"))
            found[one.satellite] = Offer.of((one.satellite, one.round), 0.0, stream, corner)
    return found


def _entries(folder: Path, records: Iterable[SatelliteRecord]) -> dict[int, Entries]:
    found = {}
    for one in records:
        path = folder / _name(one, ".".join(ENTRIES))
        if path.is_file():
            found[one.satellite] = Entries.unpack(_read(path).decode("ascii", "replace"))
    return found


def _name(one: SatelliteRecord, kind: str) -> str:
    return name_of(one.round, one.satellite, *kind.split("."))


def _read(path: Path) -> bytes:
    if path.stat().st_size > MAX_STREAM_BYTES:
        raise MessageError(f"{path}: too large for a stream")
    return path.read_bytes()
