"""Parts of a summary that more than one page shows, and what satellites made of each other's streams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from ground.records import SatelliteRecord, SectionBytes

AFTER = ("references", "arbitrate", "registration", "prediction", "coding")
"""spans of what a satellite does between the exchange of streams and its downlink"""


class Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True, serialize_by_alias=True
    )


class MeanMax(Part):
    """Of simulated seconds."""

    mean: float
    max: float


class StreamsPart(Part):
    """Where streams are exchanged. plain_bits, predicted_bits: of y, all streams together. prediction_bytes,
    map_bytes: what they say of predictions and copies; side_pct: both, in percent of the streams' own bytes.
    predicting: how many streams are predicted. onboard_s: simulated computing after the exchange."""

    plain_bits: float
    predicted_bits: float
    prediction_bytes: float
    map_bytes: float
    side_pct: float
    predicting: int
    onboard_s: MeanMax


def mean_max(values: Sequence[float]) -> MeanMax:
    return (
        MeanMax(mean=float(np.mean(values)), max=float(np.max(values)))
        if values
        else MeanMax(mean=0.0, max=0.0)
    )


def streams_part(records: Sequence[SatelliteRecord]) -> StreamsPart:
    own = sum((one.dlrc for one in records), SectionBytes(0, 0))
    bits = [pair for one in records for pair in one.bits]
    plain = sum(8 * one.dlrc.y for one in records if not one.bits)
    onboard_s = [sum(s.duration_s for s in one.spans if s.name in AFTER) for one in records if one.spans]
    return StreamsPart(
        plain_bits=plain + sum(count for satellite, count in bits if satellite < 0),
        predicted_bits=sum(count for satellite, count in bits if satellite >= 0),
        prediction_bytes=own.prediction,
        map_bytes=own.map,
        side_pct=100 * (own.prediction + own.map) / max(1.0, own.total),
        predicting=sum(one.predicted > 0 for one in records),
        onboard_s=mean_max(onboard_s),
    )
