"""The account of a round: what came and what was lost, in bytes, fates and qualities, satellite by
satellite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from functools import cached_property

import numpy as np

from codec.bitstream import Bitstream
from codec.earlier import is_earlier, source_of_number
from codec.maps.assignment import all_kept
from codec.models.model import LATENT_STRIDE_PX
from constellation.clock import Span
from constellation.common.frozen import value
from constellation.sight.geometry import cells_of
from ground.accounts import Account
from ground.cells import Cells, mse_by_cell
from ground.compensation.quality import Generated
from ground.decoder import Decoded, Source
from ground.metrics import Quality, quality
from ground.predicted import sources_of
from ground.receive import Arrival, Arrived, Kind
from ground.records import Fates, Ledger, Outcome, Place, RoundRecord, SatelliteRecord, SectionBytes
from nodes.capture import covered_by_earlier, ground_cells
from nodes.messages import Witness
from nodes.streams.fates import bits_by_source


@value
class Landed:
    """A round at the ground, with what is too large for its record.

    arrived: every send, and the witnesses with the originals. decoded: the DLRC streams. spares: the
    independent streams that stood in. alone: those to compare with. images, images_alone: uint8 [P, P, B] by
    satellite, with and without DLRC; none of a satellite of which nothing came. generated: what a net made
    of `images`, of no account to anything else; compensation: its kind."""

    arrived: Arrived
    decoded: Decoded
    spares: Decoded
    alone: Decoded
    images: Mapping[int, np.ndarray]
    images_alone: Mapping[int, np.ndarray]
    generated: Mapping[int, np.ndarray] = field(default_factory=dict)
    compensation: str = ""

    @cached_property
    def record(self) -> RoundRecord:
        """The round's record; computed once."""
        arrived = self.arrived
        oracle = oracle_positions(arrived.witness)
        notes = [witness.note for witness in arrived.witness.values()]
        return RoundRecord(
            arrived.number,
            tuple(_record(self, (s, arrived.number), oracle.get(s, 0)) for s in sorted(arrived.sends)),
            notes[0].order if notes else (),
            max((note.t_round_s for note in notes), default=None),
            bystanders=notes[0].bystanders or () if notes else (),
            generated=tuple(_generated(self, satellite) for satellite in sorted(self.generated)),
        )


def _generated(landed: Landed, satellite: int) -> Generated:
    witness = landed.arrived.witness.get(satellite)
    told = witness is not None and witness.note.geometry is not None
    picture = landed.generated[satellite]
    return Generated(satellite, landed.compensation, _quality(witness, picture), told)


def oracle_positions(witnesses: Mapping[int, Witness]) -> dict[int, int]:
    """Latent positions of each satellite's patch that a satellite before it in the round's order sees as
    well, by nominal footprints. 0 for one that is not in the order: it took no part."""
    order = [s for one in list(witnesses.values())[:1] for s in one.note.order if s in witnesses]
    cells = [_cells_below(witnesses[s]) for s in order]
    covered = covered_by_earlier(cells, range(len(order)))
    return {satellite: int(seen.sum()) for satellite, seen in zip(order, covered, strict=True)}


def _cells_below(witness: Witness) -> np.ndarray:
    note, side = witness.note, witness.original.shape[0]
    if note.geometry is None:
        return ground_cells(int(note.row), int(note.col), side)
    return cells_of(note.geometry, (side // LATENT_STRIDE_PX, side // LATENT_STRIDE_PX))


def _record(landed: Landed, source: Source, oracle: int) -> SatelliteRecord:
    satellite, number = source
    witness, outcome = landed.arrived.witness.get(satellite), _outcome(landed, source)
    dlrc, alone = _bytes(landed, source, outcome)
    fates = _fates(landed, source, outcome)
    kept, local, remote = fates.counts if fates is not None else (0, 0, 0)
    shared = outcome is Outcome.INDEPENDENT or (
        source in landed.decoded.streams and landed.decoded.streams[source].header.settings.dlrc
    )
    return SatelliteRecord(
        round=number,
        satellite=satellite,
        outcome=outcome,
        ledger=_ledger(landed, source),
        accounts=_accounts(landed, source),
        pixels=_pixels(landed, source),
        dlrc=dlrc,
        independent=alone,
        kept=kept,
        local_copy=local,
        remote_copy=remote,
        oracle=oracle,
        quality_dlrc=_quality(witness, landed.images.get(satellite)),
        quality_independent=_quality(witness, landed.images_alone.get(satellite)),
        fates=fates if shared else None,
        predicted=0 if fates is None else fates.predicted,
        bits=_bits(landed, source, outcome),
        needs=_needs(landed, source, outcome),
        earlier=_earlier(landed, source),
        fault=_fault(landed.decoded, source),
        cells=_cells(landed, source, outcome),
        **_told(witness, outcome),
    )


def _told(witness: Witness | None, outcome: Outcome) -> dict:
    """The fields of a record that its satellite told about itself."""
    if witness is None:
        return {}
    note = witness.note
    spans = tuple(Span(*span) for span in note.spans)
    sent = [span.duration_s for span in spans if span.name == "downlink"]
    return {
        "place": Place(int(note.row), int(note.col), note.window_row, note.window_col, note.scene),
        "heard": note.heard,
        "payload_bytes": note.payload_bytes,
        "gathered_bytes": note.gathered_bytes,
        "hidden": 0 if witness.valid is None else int((~witness.valid).sum()),
        "t_sync_s": note.t_sync_s,
        "transmission_s": sent[0] if sent and outcome is not Outcome.LOST else None,
        "spans": spans,
        "geometry": note.geometry,
        "offered": bool(note.offered),
    }


def _outcome(landed: Landed, source: Source) -> Outcome:
    sends = landed.arrived.sends[source[0]]
    if source in landed.decoded.whole:
        again = any(one.kind is Kind.AGAIN for one in sends)
        return Outcome.RESENT if again else Outcome.EXACT
    if source in landed.spares.latents:
        return Outcome.INDEPENDENT
    return Outcome.INCOMPLETE if source in landed.decoded.latents else Outcome.LOST


def _fault(decoded: Decoded, source: Source) -> str:
    if source in decoded.faults:
        return str(decoded.faults[source])
    gaps = int(decoded.missing[source].sum()) if source in decoded.missing else 0
    return f"{gaps} positions refer to a stream that never came" if gaps else ""


def _fates(landed: Landed, source: Source, outcome: Outcome) -> Fates | None:
    """Those of the image that the ground has."""
    if outcome is Outcome.LOST:
        return None
    if outcome is Outcome.INDEPENDENT:
        return Fates.of(all_kept(*landed.spares.latents[source].shape[1:]))
    return Fates.of(landed.decoded.maps[source], landed.decoded.guides.get(source))


def _cells(landed: Landed, source: Source, outcome: Outcome) -> Cells | None:
    """Bits and errors of the image that the ground has, beside those of the independent one."""
    witness = landed.arrived.witness.get(source[0])
    shown = landed.spares if outcome is Outcome.INDEPENDENT else landed.decoded
    if witness is None or source not in shown.bits or source not in landed.alone.bits:
        return None
    bits, alone = shown.bits[source], landed.alone.bits[source]
    errors = [
        mse_by_cell(witness.original, images.get(source[0]), witness.valid, (len(bits), bits.shape[1]))
        for images in (landed.images, landed.images_alone)
    ]
    return Cells(bits, alone, *errors)


def _bits(landed: Landed, source: Source, outcome: Outcome) -> tuple[tuple[int, float], ...]:
    """Of y, by the satellite that vectors are predicted from; of an image that is coded in the light of
    others."""
    decoded = landed.decoded
    if source not in decoded.guides or outcome not in (Outcome.EXACT, Outcome.RESENT):
        return ()
    return bits_by_source(decoded.guides[source], decoded.maps[source], decoded.bits[source])


def _needs(landed: Landed, source: Source, outcome: Outcome) -> tuple[int, ...]:
    """Whose vectors its image needs: none where it came alone, or could not be read."""
    decoded = landed.decoded
    if source not in decoded.maps or outcome is Outcome.INDEPENDENT:
        return ()
    numbers = sources_of(decoded.maps[source], decoded.guides.get(source)) - {source[0]}
    return tuple(sorted(number for number in numbers if not is_earlier(number)))


def _earlier(landed: Landed, source: Source) -> tuple[Source, ...]:
    """Views of earlier rounds that its stream refers to, whatever came of it."""
    stream = landed.decoded.streams.get(source)
    numbers = () if stream is None else stream.header.earlier
    return tuple(source_of_number(number, source[1]) for number in numbers)


def _ledger(landed: Landed, source: Source) -> Ledger:
    sends = landed.arrived.sends[source[0]]
    sizes = [_size(one, sends, landed.arrived.witness.get(source[0])) for one in sends]
    received = sum(size for place, size in enumerate(sizes) if _sound(landed, source, place))
    return Ledger(sizes[0], sum(sizes[1:]), received, sum(sizes) - received)


def _sound(landed: Landed, source: Source, place: int) -> bool:
    """Whether a satellite's send number `place` arrived whole."""
    sends = landed.arrived.sends[source[0]]
    if sends[place].data is None:
        return False
    if sends[place].kind is Kind.INDEPENDENT:
        return source in landed.spares.latents
    last = max(at for at, one in enumerate(sends) if one.kind is not Kind.INDEPENDENT)
    return place == last and source not in landed.decoded.damaged  # what was asked for again was damaged


def _accounts(landed: Landed, source: Source) -> tuple[Account, ...]:
    """Of each kind of send: what the sender told, beside what was counted on arrival."""
    sends, witness = landed.arrived.sends[source[0]], landed.arrived.witness.get(source[0])
    rows = []
    for place, one in enumerate(sends):
        told, name = _size(one, sends, witness), one.kind.name.lower()
        came = told if one.data is None else len(one.data)
        asked_again = one.kind is Kind.FIRST and any(later.kind is Kind.AGAIN for later in sends)
        if _sound(landed, source, place):
            rows.append(Account(name, told, received=came))
        elif one.data is not None and asked_again:
            rows.append(Account(name, told, again=came))
        else:
            rows.append(Account(name, told, lost=came))
    return tuple(rows)


def _size(send: Arrival, sends: tuple[Arrival, ...], witness: Witness | None) -> int:
    """Bytes that were sent; of what never came, as its sender told, or as large as the same that did."""
    if witness is not None:
        return len(witness.alone) if send.kind is Kind.INDEPENDENT else witness.stream_bytes
    alike = [one.data for one in sends if (one.kind is Kind.INDEPENDENT) == (send.kind is Kind.INDEPENDENT)]
    return max((len(data) for data in alike if data is not None), default=0)


def _bytes(landed: Landed, source: Source, outcome: Outcome) -> tuple[SectionBytes, SectionBytes]:
    """What the image took with DLRC, and what it takes without."""
    sends, witness = landed.arrived.sends[source[0]], landed.arrived.witness.get(source[0])
    estimate = witness.note.open_y_bits if witness is not None else math.nan
    dlrc = _sections(landed.decoded.streams.get(source), _size(sends[0], sends, witness), estimate)
    apart = landed.spares if witness is None else landed.alone
    alone = _sections(apart.streams.get(source), len(witness.alone) if witness is not None else 0, math.nan)
    return dlrc + alone if outcome is Outcome.INDEPENDENT else dlrc, alone


def _sections(stream: Bitstream | None, total: int, open_y_bits: float) -> SectionBytes:
    if stream is None:  # unreadable: its bytes count all the same
        return SectionBytes(y=0, z=0, map=0, header=total)
    y = len(stream.y) if math.isnan(open_y_bits) else open_y_bits / 8
    sections = {"z": len(stream.z), "map": len(stream.map), "prediction": len(stream.prediction)}
    return SectionBytes(y=y, header=stream.framing_bytes, **sections)


def _pixels(landed: Landed, source: Source) -> int:
    """Of the patch; those that show anything."""
    witness = landed.arrived.witness.get(source[0])
    if witness is not None:
        seen = witness.valid
        return math.prod(witness.original.shape[:2]) if seen is None else int(seen.sum())
    stream = landed.decoded.streams.get(source) or landed.spares.streams.get(source)
    return 0 if stream is None else stream.header.height * stream.header.width * LATENT_STRIDE_PX**2


def _quality(witness: Witness | None, image: np.ndarray | None) -> Quality | None:
    if witness is None or image is None or image.shape != witness.original.shape:
        return None
    return quality(witness.original, image, witness.valid)
