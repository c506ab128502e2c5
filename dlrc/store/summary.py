"""What a run found: one summary of its records, `summary.json`.

Sums come first, ratios last: bits per pixel are the bytes of all streams over all pixels, a saving is one
minus the ratio of two such sums, positions are counted over all views. Quality is the mean over images.
Nothing here measures: wall time and memory come in from outside, change no other field, and are not written
(`cost.json` has them). What is LOST
counts on neither side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from constellation.scenario.scenario import Scenario
from dlrc.store.cost import Cost, Mishap
from dlrc.store.parts import MeanMax, Part, StreamsPart, mean_max, streams_part
from ground.metrics import bpp, mean_quality
from ground.records import Outcome, RoundRecord, SatelliteRecord, SectionBytes


class ModelPart(Part):
    """The codec. `lambda` in JSON."""

    name: str
    lambda_: float = Field(alias="lambda")
    weights_sha256: str


class ScenePart(Part):
    """What was looked at; real is False for the built-in scene. hidden_pct: percent of the patches' pixels
    without data, which neither rates nor qualities count."""

    source: str
    real: bool
    hidden_pct: float = 0.0


class IndependentRate(Part):
    """Bits per pixel without DLRC."""

    y: float
    z: float
    header: float
    total: float


class DlrcRate(IndependentRate):
    """Bits per pixel with DLRC. prediction: what streams say of how they are predicted."""

    map: float
    prediction: float = 0.0


class Rates(Part):
    """kind: bytes of `real streams`, or an `estimate` (`codec.context=open`, the paper's open loop, not
    decodable)."""

    kind: Literal["real streams", "estimate"]
    independent: IndependentRate
    dlrc: DlrcRate


class Saving(Part):
    """Percent saved by DLRC, of y bytes and of all bytes; y_of_oracle: y saving in percent of the oracle
    share of positions."""

    y: float
    total: float
    y_of_oracle: float | None


class MeanQuality(Part):
    """Means over the images that were decoded."""

    psnr_db: float | None
    ms_ssim: float | None


class QualityPart(Part):
    """Against what was captured, on 8-bit images."""

    independent: MeanQuality
    dlrc: MeanQuality


class Positions(Part):
    """Shares of all latent positions; oracle: covered by an earlier satellite; remote_of_oracle: remote
    copies / oracle; predicted: of the kept, those coded in the light of another's picture."""

    kept: float
    local_copy: float
    remote_copy: float
    oracle: float
    remote_of_oracle: float | None
    predicted: float = 0.0


class SyncPart(Part):
    """The exchanges. noise: the link budget's noise rule (`link.noise`)."""

    payload_bytes: float
    noise: str
    t_sync_s: MeanMax
    t_round_s: MeanMax


class DownlinkPart(Part):
    """Simulated time of transmission alone, of the streams that came: neither the queue on board nor the wait
    for a contact is in it."""

    time_s: MeanMax | None


class DecodePart(Part):
    """Streams with DLRC: how many; how many gave exactly the coded y_hat (some when sent again); in place of
    how many the independent stream stood in; how many gave no image, or one with gaps. resent_bytes: sent on
    request and counted by no rate above (the rates count an independent stream that stood in)."""

    streams: int
    exact: int
    failed: int
    independent: int = 0
    resent_bytes: int = 0


class RunSummary(Part):
    """`summary.json`."""

    scenario: str
    seed: int
    satellites: int
    rounds: int
    context: str
    model: ModelPart
    scene: ScenePart
    bpp: Rates
    saving_pct: Saving
    quality: QualityPart
    positions: Positions
    sync: SyncPart
    downlink: DownlinkPart
    decode: DecodePart
    streams: StreamsPart | None = None
    wall_s: float | None = Field(default=None, exclude=True)  # `cost.json` has them
    peak_rss_mib: float | None = Field(default=None, exclude=True)


OF_THE_HOST = ("began", "wall_s", "peak_rss_mib", "starts", "accidents")


class Facts(Part):
    """What neither the knobs nor the records of a run say.

    version: of the program. weights_sha256: of the checkpoint's file. pictures_sha256: of the pictures and
    other files that knobs name (`NetworkScenario.files`), empty for the built-in scene alone. began, wall_s,
    peak_rss_mib, starts, accidents: of the host, as in `dlrc.store.cost.Cost`; no other file of a run depends
    on them. versions: of Python and of what computes, by name."""

    version: str
    weights_sha256: str
    pictures_sha256: str
    scene_source: str
    scene_real: bool
    began: str = ""
    wall_s: float | None = None
    peak_rss_mib: float | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    starts: int = 1
    accidents: tuple[Mishap, ...] = ()

    @property
    def cost(self) -> Cost:
        """What of them is the host's."""
        return Cost(**{name: getattr(self, name) for name in OF_THE_HOST})

    def with_cost(self, cost: Cost | None) -> Facts:
        """With what a folder says of the host."""
        return self if cost is None else self.model_copy(update={n: getattr(cost, n) for n in OF_THE_HOST})


def summarise(scenario: Scenario, facts: Facts, rounds: Sequence[RoundRecord]) -> RunSummary:
    """One `RunSummary` of a run; the order of the records does not matter. rounds of it: those that there
    are. Raises `ValueError` without any record."""
    rounds = sorted(rounds, key=lambda record: record.number)  # float sums do not depend on arrival
    records = [
        one for record in rounds for one in sorted(record.satellites, key=lambda record: record.satellite)
    ]
    if not records:
        raise ValueError("a summary of no record")
    here = [record for record in records if record.outcome is not Outcome.LOST]
    positions = _positions(here)
    times = [record.transmission_s for record in here if record.transmission_s is not None]
    return RunSummary(
        scenario=scenario.name,
        seed=scenario.seed,
        satellites=scenario.satellites,
        rounds=len(rounds),
        context=scenario.codec.context,
        model=ModelPart.model_validate(
            {
                "name": scenario.codec.model,
                "lambda": scenario.codec.lambda_,
                "weights_sha256": facts.weights_sha256,
            }
        ),
        scene=ScenePart(source=facts.scene_source, real=facts.scene_real, hidden_pct=_hidden_pct(records)),
        bpp=_rates(here, scenario.codec.context),
        saving_pct=_saving(here, positions.oracle),
        quality=_quality(records),
        positions=positions,
        sync=SyncPart(
            payload_bytes=float(np.mean([record.payload_bytes for record in rounds])),
            noise=scenario.link.noise,
            t_sync_s=mean_max([one.t_sync_s for one in records if one.t_sync_s is not None]),
            t_round_s=mean_max([one.t_round_s for one in rounds if one.t_round_s is not None]),
        ),
        downlink=DownlinkPart(time_s=mean_max(times) if times else None),
        decode=DecodePart(
            streams=len(records),
            exact=sum(record.exact for record in records),
            failed=sum(record.failed for record in records),
            independent=sum(record.outcome is Outcome.INDEPENDENT for record in records),
            resent_bytes=sum(record.uncounted_bytes for record in records),
        ),
        streams=streams_part(here) if scenario.dlrc.streams else None,
        wall_s=facts.wall_s,
        peak_rss_mib=facts.peak_rss_mib,
    )


def _sum(sections: Sequence[SectionBytes]) -> SectionBytes:
    return sum(sections, SectionBytes(0, 0))


def _hidden_pct(records: Sequence[SatelliteRecord]) -> float:
    hidden, seen = sum(record.hidden for record in records), sum(record.pixels for record in records)
    return 100.0 * hidden / max(1, hidden + seen)


def _rates(records: Sequence[SatelliteRecord], context: str) -> Rates:
    pixels = max(1, sum(record.pixels for record in records))
    dlrc, alone = (
        _sum([record.dlrc for record in records]),
        _sum([record.independent for record in records]),
    )

    def of(section: SectionBytes) -> dict[str, float]:
        return {name: bpp(getattr(section, name), pixels) for name in ("y", "z", "header", "total")}

    return Rates(
        kind="estimate" if context == "open" else "real streams",
        independent=IndependentRate(**of(alone)),
        dlrc=DlrcRate(**of(dlrc), map=bpp(dlrc.map, pixels), prediction=bpp(dlrc.prediction, pixels)),
    )


def _saving(records: Sequence[SatelliteRecord], oracle: float) -> Saving:
    dlrc, alone = (
        _sum([record.dlrc for record in records]),
        _sum([record.independent for record in records]),
    )
    y = 100.0 * (1 - dlrc.y / alone.y) if alone.y else 0.0
    total = 100.0 * (1 - dlrc.total / alone.total) if alone.total else 0.0
    return Saving(y=y, total=total, y_of_oracle=y / oracle if oracle else None)


def _quality(records: Sequence[SatelliteRecord]) -> QualityPart:
    both = [
        (record.quality_independent, record.quality_dlrc)
        for record in records
        if record.quality_independent and record.quality_dlrc
    ]
    if not both:
        nothing = MeanQuality(psnr_db=None, ms_ssim=None)
        return QualityPart(independent=nothing, dlrc=nothing)
    alone, dlrc = (mean_quality([pair[side] for pair in both]) for side in (0, 1))
    return QualityPart(
        independent=MeanQuality(psnr_db=alone.psnr_db, ms_ssim=alone.ms_ssim),
        dlrc=MeanQuality(psnr_db=dlrc.psnr_db, ms_ssim=dlrc.ms_ssim),
    )


def _positions(records: Sequence[SatelliteRecord]) -> Positions:
    count = {
        name: sum(getattr(record, name) for record in records)
        for name in ("kept", "local_copy", "remote_copy", "oracle", "predicted")
    }
    everything = count["kept"] + count["local_copy"] + count["remote_copy"]
    shares = {name: value / max(1, everything) for name, value in count.items()}
    return Positions(
        **shares, remote_of_oracle=count["remote_copy"] / count["oracle"] if count["oracle"] else None
    )
