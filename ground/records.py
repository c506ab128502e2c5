"""The values a report is made of: records of every view and round (what goes in), and `RunSummary` (what
comes out, `summary.json`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ground.metrics import Quality

# ---------------------------------------------------------------- what goes in


@dataclass(frozen=True)
class SectionBytes:
    """Bytes of one stream, by section. Whole numbers of real streams; fractions where `codec.context=open`
    estimates them."""

    y: float
    z: float
    map: float = 0.0
    header: float = 0.0

    @property
    def total(self) -> float:
        return self.y + self.z + self.map + self.header


@dataclass(frozen=True)
class SatelliteRecord:
    """One view: satellite x round.

    pixels: of the patch. dlrc, independent: bytes of its stream with and without DLRC. kept, local_copy,
    remote_copy: latent positions by fate. oracle: latent positions that an earlier satellite of the priority
    order covers. exact: whether the ground decoded the very y_hat that was coded. failed: whether it could
    not be decoded, or a reference stayed unresolved. Qualities are None where there is no image. downlink_s:
    simulated time from the capture until the stream is on the ground; None if unknown. heard: whether the
    satellite downlinks at all; rates leave out, on both sides, what one that does not would have sent. dlrc
    holds the independent stream as well where that had to be sent after all, because an owner was lost."""

    round: int
    satellite: int
    pixels: int
    dlrc: SectionBytes
    independent: SectionBytes
    kept: int
    local_copy: int
    remote_copy: int
    oracle: int
    exact: bool
    failed: bool = False
    heard: bool = True
    quality_dlrc: Quality | None = None
    quality_independent: Quality | None = None
    downlink_s: float | None = None


@dataclass(frozen=True)
class RoundRecord:
    """One sync round, simulated. payload_bytes: sent by one satellite (mean). t_sync_s: T_sync(s) of each
    satellite, appendix A."""

    round: int
    payload_bytes: float
    t_sync_s: tuple[float, ...]
    t_round_s: float


# ---------------------------------------------------------------- what comes out


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True, serialize_by_alias=True
    )


class ModelPart(_Part):
    """The codec. `lambda` in JSON."""

    name: str
    lambda_: float = Field(alias="lambda")
    weights_sha256: str


class ScenePart(_Part):
    """What was looked at; real is False for the built-in scene."""

    source: str
    real: bool


class IndependentRate(_Part):
    """Bits per pixel without DLRC."""

    y: float
    z: float
    header: float
    total: float


class DlrcRate(IndependentRate):
    """Bits per pixel with DLRC."""

    map: float


class Rates(_Part):
    """kind: bytes of `real streams`, or an `estimate` (`codec.context=open`, the paper's open loop, not
    decodable)."""

    kind: Literal["real streams", "estimate"]
    independent: IndependentRate
    dlrc: DlrcRate


class Saving(_Part):
    """Percent saved by DLRC, of y bytes and of all bytes; y_of_oracle: y saving in percent of the oracle
    share of positions."""

    y: float
    total: float
    y_of_oracle: float | None


class MeanQuality(_Part):
    """Means over the images that were decoded."""

    psnr_db: float | None
    ms_ssim: float | None


class QualityPart(_Part):
    """Against what was captured, on 8-bit images."""

    independent: MeanQuality
    dlrc: MeanQuality


class Positions(_Part):
    """Shares of all latent positions; oracle: covered by an earlier satellite; remote_of_oracle: remote
    copies / oracle."""

    kept: float
    local_copy: float
    remote_copy: float
    oracle: float
    remote_of_oracle: float | None


class MeanMax(_Part):
    """Of simulated seconds."""

    mean: float
    max: float


class SyncPart(_Part):
    """The signature rounds. noise: the link budget's noise rule (`link.noise`)."""

    payload_bytes: float
    noise: str
    t_sync_s: MeanMax
    t_round_s: MeanMax


class DownlinkPart(_Part):
    """Simulated time from a capture until its stream is on the ground."""

    time_s: MeanMax | None


class DecodePart(_Part):
    """Streams with DLRC: how many, how many gave exactly the coded y_hat, how many could not be decoded or
    resolved in the end, and the bytes sent beyond the first attempt (damaged streams again, independent
    streams where an owner was lost), which no rate above counts."""

    streams: int
    exact: int
    failed: int
    resent_bytes: int = 0


class RunSummary(_Part):
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
    wall_s: float
    peak_rss_mib: float


@dataclass(frozen=True)
class RunFacts:
    """What the records do not say. peak_rss_mib: sum of the peaks of all processes. context:
    `codec.context`."""

    scenario: str
    seed: int
    satellites: int
    rounds: int
    context: str
    model: str
    lambda_: float
    weights_sha256: str
    scene_source: str
    scene_real: bool
    noise: str
    wall_s: float
    peak_rss_mib: float
    resent_bytes: int = 0
