"""Knobs of the space network: orbits, links, topology, routing, sync, ground segment, energy.

Defaults are the paper's (section 4.1, Table A1, appendix A), and ours where it gives none."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from constellation.common.knobs import ADDED, Knobs, NonNegative, Positive
from constellation.scenario.stations import parse_mask, parse_station

# Wider than any radio or laser, narrow enough that no formula overflows
PowerDbm = Annotated[float, Field(ge=-200, le=200)]
GainDbi = Annotated[float, Field(ge=-100, le=200)]
Seconds = Annotated[float, Field(ge=0, le=1e6)]
Power = Annotated[float, Field(ge=0, le=1e9)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]


class OrbitKnobs(Knobs):
    """Where the satellites are, and over which time the network is looked at."""

    source: Literal["walker", "tle", "omm", "oem"] = "walker"
    """a Walker pattern, or elements (tle, omm) or ephemerides (oem) read from `path`"""
    kind: Literal["delta", "star"] = "delta"
    """planes over 360 deg, or over 180 deg"""
    pattern: str = "53:1000/25/1"
    """inclination in deg : satellites / planes / phasing"""
    altitude_km: Annotated[float, Field(gt=0, le=400000)] = 550.0
    """of the pattern's circular orbits, above the equator's radius; at most the Moon's"""
    path: str = ""
    """file of two-line elements, OMM or OEM; or folder of OEM files, one or more satellites each"""
    shells: Annotated[tuple[str, ...], Field(strict=False, max_length=64), ADDED] = ()
    """several patterns instead of one, each PATTERN@ALTITUDE_KM or PATTERN@ALTITUDE_KM@NODE_SPREAD_DEG"""
    node_spread_deg: Annotated[float, Field(ge=0, le=360), ADDED] = 0.0
    """over which the nodes of the pattern's planes are spread; 0: as `kind` says"""
    epoch: str = "2026-01-01T00:00:00Z"
    """UTC at which simulated time begins; file: the latest epoch in `path`"""
    duration_s: Annotated[float, Field(gt=0, le=3.2e7)] = 43200.0
    """how long the network is looked at; at most a year"""
    step_s: Annotated[float, Field(ge=1e-3, le=3.2e7)] = 60.0
    """between two instants"""
    max_age_days: Annotated[float, Field(gt=0, le=36500)] = 30.0
    """of elements from a file, either way from the simulated time"""
    skip_bad: Annotated[bool, ADDED] = False
    """go on without satellites whose elements are too old, have decayed, or are not SGP4's"""


class LinkKnobs(Knobs):
    """Budget of a radio link (Table A1), or an optical terminal of fixed rate."""

    kind: Literal["rf", "optical"] = "rf"
    """radio, or optical"""
    noise: Literal["ktb", "paper"] = "ktb"
    """k T B, or the formula as the paper prints it"""
    bandwidth_mhz: Annotated[float, Field(ge=1e-6, le=1e6)] = 100.0
    """of the channel"""
    frequency_ghz: Annotated[float, Field(ge=1e-6, le=1e6)] = 20.0
    """of the carrier"""
    tx_power_dbm: PowerDbm = 40.0
    """of the transmitter"""
    tx_gain_dbi: GainDbi = 35.0
    """of the transmitting antenna"""
    rx_gain_dbi: GainDbi = 35.0
    """of the receiving antenna"""
    system_loss_db: Annotated[float, Field(ge=0, le=300)] = 10.0
    """pointing, polarisation, cables"""
    noise_temperature_k: Annotated[float, Field(ge=0.01, le=1e9)] = 290.0
    """of the receiver"""
    overhead: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """share of the capacity that carries no payload"""
    optical_rate_bps: Annotated[float, Field(ge=1, le=1e15)] = 10e9
    """of an optical terminal"""
    optical_acquisition_s: Seconds = 10.0
    """until two optical terminals see each other"""


class TopologyKnobs(Knobs):
    """Which links exist at an instant."""

    rule: Literal["distance", "grid", "nearest", "list"] = "distance"
    """everybody in reach; four neighbours in and beside the plane; the nearest; or those listed in `path`"""
    path: Annotated[str, ADDED] = ""
    """file of links for rule=list: two names or numbers (0 the first) of satellites a line"""
    max_distance_km: Annotated[float, Field(gt=0, le=1e6)] = 3000.0
    """longest link"""
    atmosphere_margin_km: Annotated[float, Field(ge=0, le=1e5)] = 80.0
    """height above ground that a line of sight must keep"""
    line_of_sight: bool = True
    """whether the Earth blocks links"""
    terminals: Annotated[int, Field(ge=1, le=10**4)] = 4
    """of a satellite, under rule=nearest"""
    setup_s: Seconds = 0.005
    """to set a link up"""
    teardown_s: Seconds = 0.002
    """to take a link down"""


class SyncKnobs(Knobs):
    """One exchange of signatures (appendix A)."""

    contention: Literal["parallel", "serial", "shared"] = "parallel"
    """transfers at once, one after another, or sharing links"""
    schedule: Literal["unicast", "tree", "ring"] = "unicast"
    """how the all_gather is laid over the network"""
    relay_s: Seconds = 0.0005
    """that a relaying satellite adds"""
    relay_in_route: bool = False
    """whether routes count relays; the paper adds them afterwards"""
    control_s: Seconds = 0.03
    """fixed part of every exchange"""
    speed_of_light_m_s: Annotated[float, Field(ge=1e3, le=1e12)] = 3e8
    """the paper rounds it"""
    scope: Annotated[Literal["all", "region", "overlap"], ADDED] = "all"
    """who gathers: all; those joined by common ground, also through others; those that share it themselves"""

    @model_validator(mode="after")
    def _schedules_need_groups(self) -> SyncKnobs:
        if self.scope == "overlap" and self.schedule != "unicast":
            raise ValueError(
                f"sync.schedule={self.schedule}: needs groups in which all hear all, sync.scope=region or "
                "all; sync.scope=overlap needs unicast"
            )
        return self


class RegionKnobs(Knobs):
    """Which satellites observe: those near a point on the ground."""

    latitude_deg: Latitude = 30.25
    """of the point, north"""
    longitude_deg: Longitude = 120.17
    """of the point, east"""
    rule: Literal["nearest", "footprint"] = "nearest"
    """the nearest ones, or those whose footprint holds the point"""
    max_off_nadir_deg: Annotated[float, Field(gt=0, lt=90)] = 45.0
    """half the opening of a footprint"""


class GroundKnobs(Knobs):
    """Ground station, its link from space, and what goes wrong on it.

    A 53 deg shell at 550 km is seen (10 deg mask) from latitudes up to 67.9 deg only."""

    name: str = "Matera"
    """of the station"""
    latitude_deg: Latitude = 40.65
    """of the station, north"""
    longitude_deg: Longitude = 16.70
    """of the station, east"""
    elevation_m: Annotated[float, Field(ge=-12000, le=1e5)] = 530.0
    """of the station, above the ellipsoid"""
    min_elevation_deg: Annotated[float, Field(ge=0, lt=90)] = 10.0
    """mask: how high a satellite must stand"""
    mask: Annotated[str, Field(max_length=20000), ADDED] = ""
    """horizon: AZIMUTH/ELEVATION in deg, joined by +, as 0/5+90/20; the higher of it and the mask counts"""
    antennas: Annotated[int, Field(ge=0, le=10**6), ADDED] = 0
    """satellites that the station serves at once; 0: all in view"""
    stations: Annotated[tuple[str, ...], Field(strict=False, max_length=200), ADDED] = ()
    """several instead of the one above: Svalbard,Matera or NAME:LAT:LON[:ELEVATION_M[:MASK[:ANTENNAS]]]"""
    stream_loss: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """chance that a downlinked stream arrives damaged the first time"""
    silent_satellite: Annotated[int, Field(ge=-1, lt=1024)] = -1
    """takes part in rounds and never downlinks; -1: none"""
    compensation: Annotated[Literal["none", "regressor", "diffusion"], ADDED] = "none"
    """net that makes a generated picture of each decoded one, beside it; never part of the exact product"""
    compensation_weights: Annotated[str, ADDED] = ""
    """its file; none: the one that ships for the codec"""
    compensation_steps: Annotated[int, Field(ge=1, le=200), ADDED] = 8
    """steps of a diffusion"""
    downlink: LinkKnobs = LinkKnobs(
        bandwidth_mhz=50.0,
        frequency_ghz=8.2,
        tx_power_dbm=33.0,
        tx_gain_dbi=6.0,
        rx_gain_dbi=47.0,
        system_loss_db=6.0,
    )

    @model_validator(mode="after")
    def _stations_are_places(self) -> GroundKnobs:
        parse_mask(self.mask)
        names = [parse_station(text).name for text in self.stations]
        if len(set(names)) < len(names):
            raise ValueError(f"ground.stations={','.join(self.stations)}: expected no station twice")
        return self

    @property
    def each(self) -> tuple[GroundKnobs, ...]:
        """Every station as knobs of one: those of `stations`, which take link, mask, horizon and antennas
        from here unless they say otherwise; without any, this one."""
        found = []
        for place in map(parse_station, self.stations):
            given = {key: value for key, value in vars(place).items() if value is not None}
            found.append(self.model_copy(update={**given, "stations": ()}))
        return tuple(found) or (self,)


class EnergyKnobs(Knobs):
    """Battery and solar array of a satellite, for priority.rule=energy."""

    battery_wh: Annotated[float, Field(ge=1e-3, le=1e9)] = 100.0
    """capacity"""
    solar_w: Power = 80.0
    """in sunlight"""
    idle_w: Power = 30.0
    """drawn always"""
    compute_w: Power = 40.0
    """drawn while computing, on top"""
    transmit_w: Power = 20.0
    """drawn while sending, on top"""
    initial_charge: Annotated[float, Field(ge=0, le=1)] = 0.8
    """share of the capacity at the start"""


__all__ = [
    "EnergyKnobs", "GroundKnobs", "Knobs", "LinkKnobs", "NonNegative", "OrbitKnobs", "Positive",
    "RegionKnobs", "SyncKnobs", "TopologyKnobs",
]  # fmt: skip
