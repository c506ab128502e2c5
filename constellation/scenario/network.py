"""Knobs of the space network: orbits, links, topology, routing, sync, ground segment, energy (Table A1 and
beyond).

All models are frozen pydantic models with strict numbers; defaults are the paper's (section 4.1, appendix A).
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Knobs(BaseModel):
    """Base of every scenario section: unknown keys, NaN and booleans-as-numbers are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
# Wider than any radio or laser, narrow enough that no formula overflows
PowerDbm = Annotated[float, Field(ge=-200, le=200)]
GainDbi = Annotated[float, Field(ge=-100, le=200)]
Watts = Annotated[float, Field(ge=0, le=1e9)]
Seconds = Annotated[float, Field(ge=0, le=1e6)]


class OrbitKnobs(Knobs):
    """Where the satellites are. `source: walker` uses pattern/altitude/kind; `source: tle` or `omm` reads
    `path`."""

    source: Literal["walker", "tle", "omm"] = "walker"
    kind: Literal["delta", "star"] = "delta"
    pattern: str = "53:1000/25/1"  # inclination_deg : total / planes / phasing
    altitude_km: Annotated[float, Field(gt=0, le=400000)] = 550.0  # as far as the Moon
    path: str = ""  # TLE or OMM file
    epoch: str = "2026-01-01T00:00:00Z"
    duration_s: Annotated[float, Field(gt=0, le=3.2e7)] = 43200.0  # at most a year
    step_s: Annotated[float, Field(ge=1e-3, le=3.2e7)] = 60.0
    max_age_days: Annotated[float, Field(gt=0, le=36500)] = (
        30.0  # of TLE or OMM elements, either way from the simulated time
    )
    skip_bad: bool = (
        False  # go on without satellites whose elements are too old, have decayed, or are not SGP4's
    )

    @field_validator("epoch", "pattern", "path", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        """YAML reads 2026-01-01 without quotes as a date, not as the text that it looks like."""
        if isinstance(value, date):
            raise ValueError(f'that is a date to YAML: put it in quotes, "{value.isoformat()}"')
        return value


class LinkKnobs(Knobs):
    """Link budget (Table A1) of an inter-satellite link, or an optical terminal of fixed rate."""

    kind: Literal["rf", "optical"] = "rf"
    noise: Literal["ktb", "paper"] = "ktb"
    bandwidth_mhz: Annotated[float, Field(ge=1e-6, le=1e6)] = 100.0
    frequency_ghz: Annotated[float, Field(ge=1e-6, le=1e6)] = 20.0
    tx_power_dbm: PowerDbm = 40.0
    tx_gain_dbi: GainDbi = 35.0
    rx_gain_dbi: GainDbi = 35.0
    system_loss_db: Annotated[float, Field(ge=0, le=300)] = 10.0
    noise_temperature_k: Annotated[float, Field(ge=0.01, le=1e9)] = 290.0
    overhead: Annotated[float, Field(ge=0, lt=1)] = 0.2
    optical_rate_bps: Annotated[float, Field(ge=1, le=1e15)] = 10e9
    optical_acquisition_s: Seconds = 10.0


class TopologyKnobs(Knobs):
    """Which links exist at an instant."""

    rule: Literal["distance", "grid", "nearest"] = "distance"
    max_distance_km: Annotated[float, Field(gt=0, le=1e6)] = 3000.0
    atmosphere_margin_km: Annotated[float, Field(ge=0, le=1e5)] = 80.0
    line_of_sight: bool = True
    terminals: Annotated[int, Field(ge=1)] = 4  # of `nearest`
    setup_s: Seconds = 0.005
    teardown_s: Seconds = 0.002


class SyncKnobs(Knobs):
    """One signature round (appendix A)."""

    contention: Literal["parallel", "serial", "shared"] = "parallel"
    schedule: Literal["unicast", "tree", "ring"] = "unicast"
    relay_s: Seconds = 0.0005
    relay_in_route: bool = (
        False  # the paper routes on propagation and transmission alone, then adds the relays
    )
    control_s: Seconds = 0.03
    speed_of_light_m_s: Annotated[float, Field(ge=1e3, le=1e12)] = 3e8


class RegionKnobs(Knobs):
    """Which satellites observe: the N nearest to a point of the ground, or those whose sensor footprint sees
    it."""

    latitude_deg: Annotated[float, Field(ge=-90, le=90)] = 30.25
    longitude_deg: Annotated[float, Field(ge=-180, le=180)] = 120.17
    rule: Literal["nearest", "footprint"] = "nearest"
    max_off_nadir_deg: Annotated[float, Field(gt=0, lt=90)] = 45.0


class GroundKnobs(Knobs):
    """Ground station and space-to-ground link. A 53 deg shell at 550 km is seen (10 deg mask) from latitudes
    up to 67.9 deg only."""

    name: str = "Matera"
    latitude_deg: Annotated[float, Field(ge=-90, le=90)] = 40.65
    longitude_deg: Annotated[float, Field(ge=-180, le=180)] = 16.70
    elevation_m: Annotated[float, Field(ge=-12000, le=1e5)] = 530.0
    min_elevation_deg: Annotated[float, Field(ge=0, lt=90)] = 10.0
    stream_loss: Annotated[float, Field(ge=0, lt=1)] = (
        0.0  # chance that a downlinked stream arrives damaged the first time
    )
    silent_satellite: Annotated[
        int, Field(ge=-1)
    ] = -1  # a satellite that takes part in the rounds and never downlinks; -1: none
    downlink: LinkKnobs = LinkKnobs(
        bandwidth_mhz=50.0,
        frequency_ghz=8.2,
        tx_power_dbm=33.0,
        tx_gain_dbi=6.0,
        rx_gain_dbi=47.0,
        system_loss_db=6.0,
    )


class EnergyKnobs(Knobs):
    """Battery and solar array, for `priority.rule=energy`."""

    battery_wh: Annotated[float, Field(ge=1e-3, le=1e9)] = 100.0
    solar_w: Watts = 80.0
    idle_w: Watts = 30.0
    compute_w: Watts = 40.0
    transmit_w: Watts = 20.0
    initial_charge: Annotated[float, Field(ge=0, le=1)] = 0.8
