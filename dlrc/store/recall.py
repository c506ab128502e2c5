"""What both ends remember of stored rounds (`dlrc.memory=rounds`), after a break or an accident: read from
the run's folder, so that a run that goes on flies the bytes that it would have flown."""

from __future__ import annotations

from pathlib import Path

from codec.fields import MAX_STREAM_BYTES
from constellation.common.errors import UserError
from constellation.scenario.scenario import Scenario
from dlrc.store.folder import folder_of, name_of
from dlrc.store.manifest import inputs_sha256
from dlrc.store.summary import Facts
from dlrc.version import __version__
from ground.records import RoundRecord
from nodes.memory import GroundMemory, Memory, Past, Recall
from nodes.messages import MessageError
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
    recall = recall_of(scenario, board)
    if isinstance(memory, Memory):
        memory.restore(number, recall)
    else:
        memory.restore(number, recall, lambda offer: decoded(board, scenario.codec, offer))


def recall_of(scenario: Scenario, board: Board) -> Recall:
    """Reads rounds of a run that is being flown."""
    facts = Facts.model_construct(
        version=__version__,
        weights_sha256=board.checkpoint.sha256,
        pictures_sha256=inputs_sha256(scenario.files),
    )
    path = folder_of(scenario, facts)
    part = path.with_name(path.name + ".part")
    size = scenario.satellites, scenario.rounds
    faults = faults_of_run(scenario.faults, scenario.ground, size, scenario.orbit.step_s, scenario.seed)
    return lambda number: past_in(part / "rounds" / f"{number:03d}", faults)


def past_in(folder: Path, faults: Faults) -> Past | None:
    """What is kept of a stored round; None where it is not there whole."""
    try:
        record = RoundRecord.from_json((folder / "record.json").read_bytes())
        offers = {
            one.satellite: _offer(folder, record.number, one.satellite, one.place)
            for one in record.satellites
            if one.exact and one.offered and one.place is not None
        }
    except (OSError, UserError, MessageError):
        return None
    nodes = frozenset(one.satellite for one in record.satellites)
    informed = faults.alive(nodes, Stage(record.number, Step.REQUEST))
    heard = {
        one.satellite: frozenset(one.heard) & offers.keys()
        for one in record.satellites
        if one.satellite in informed
    }
    asked = [one for one in record.satellites if any(sent.kind == "independent" for sent in one.accounts)]
    return Past(offers, heard, frozenset(one.satellite for one in asked) & informed)


def _offer(folder: Path, number: int, satellite: int, place) -> Offer:
    path = folder / name_of(number, satellite, "independent", "bin")
    if path.stat().st_size > MAX_STREAM_BYTES:
        raise MessageError(f"{path}: too large for a stream")
    corner = place.row + place.window_row, place.col + place.window_col
    return Offer.of((satellite, number), 0.0, path.read_bytes(), corner)
