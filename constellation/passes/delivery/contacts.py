"""Passes as contacts that carry data: rate along the pass, rain, and what is lost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from constellation.common.frozen import value
from constellation.links.budget import rate_bps
from constellation.orbit.orbits import Constellation, subset
from constellation.passes.contacts import contact_windows
from constellation.passes.delivery.link import Contact
from constellation.passes.delivery.rules import TransferKnobs
from constellation.passes.delivery.weather import Weather
from constellation.passes.queue import PIECE_S
from constellation.passes.tracks import Tracks, step_s_of
from constellation.scenario.network import GroundKnobs

_BLOCK_SATELLITE_STEPS = 400_000  # as in the search for passes: about 100 MB
LIGHT_KM_S = 299_792.458


@value
class Sky:
    """Over one station. number: among the stations; weather: None for a clear sky."""

    ground: GroundKnobs
    number: int
    weather: Weather | None


def skies(ground: GroundKnobs, knobs: TransferKnobs, seed: int, span_s: tuple[float, float]) -> list[Sky]:
    """One over each station. Raises `UserError` where ITU-R has nothing to say about the link."""
    rain = knobs.weather == "rain"
    return [
        Sky(station, number, Weather(station, seed, number, span_s) if rain else None)
        for number, station in enumerate(ground.each)
    ]


def contacts_between(
    constellation: Constellation,
    satellites: Sequence[int] | np.ndarray,
    sky: Sky,
    knobs: TransferKnobs,
    span_s: tuple[float, float],
) -> list[Contact]:
    """Every pass of these satellites over one station as a contact, in order of time."""
    chosen = np.asarray(satellites, dtype=np.int64)
    per_block = max(1, int(_BLOCK_SATELLITE_STEPS / ((span_s[1] - span_s[0]) / step_s_of(sky.ground) + 3)))
    found: list[Contact] = []
    for start in range(0, len(chosen), per_block):
        block = chosen[start : start + per_block]
        windows = contact_windows(constellation, sky.ground, *span_s, block)
        if not len(windows):
            continue
        tracks = Tracks(subset(constellation, block.tolist()), *span_s, sky.ground)
        place = {int(satellite): row for row, satellite in enumerate(block)}
        for satellite, rise_s, set_s in zip(
            windows.satellite.tolist(), windows.rise_s.tolist(), windows.set_s.tolist(), strict=True
        ):
            edges_s = np.linspace(rise_s, set_s, max(1, round((set_s - rise_s) / PIECE_S)) + 1)
            found.append(_contact(tracks, (place[satellite], satellite), edges_s, sky, knobs))
    return sorted(found, key=lambda one: (one.begin_s, one.satellite))


def _contact(
    tracks: Tracks, who: tuple[int, int], edges_s: np.ndarray, sky: Sky, knobs: TransferKnobs
) -> Contact:
    """One pass. who: the satellite's row in the tracks, and its index in the constellation."""
    row, satellite = who
    middle_s = (edges_s[1:] + edges_s[:-1]) / 2
    here = np.full(len(middle_s), row)
    distance_km = tracks.distance_km(here, middle_s)
    elevation_deg = np.degrees(np.arcsin(np.clip(tracks.sine_elevation(here, middle_s), -1.0, 1.0)))
    fade_db = np.zeros(len(middle_s)) if sky.weather is None else sky.weather.fade_db(middle_s, elevation_deg)
    rate, loss = rate_and_loss(distance_km, fade_db, sky.ground, knobs)
    delay_s = float(distance_km.mean()) / LIGHT_KM_S
    # answers are short and slow, and sent with power to spare: rain does not stop them
    return Contact(satellite, sky.number, satellite, edges_s, rate, loss, delay_s, knobs.unit_loss)


def rate_and_loss(
    distance_km: np.ndarray, fade_db: np.ndarray, ground: GroundKnobs, knobs: TransferKnobs
) -> tuple[np.ndarray, np.ndarray]:
    """Rate in bit/s and the chance to lose a unit, float64 [P] each: planned for a clear sky less the margin,
    where a deeper fade loses everything; or the rate that the rain leaves, less the margin."""
    if knobs.coding == "adaptive":
        return rate_bps(distance_km, ground.downlink, fade_db + knobs.margin_db), np.full(
            len(distance_km), knobs.unit_loss
        )
    rate = rate_bps(distance_km, ground.downlink, knobs.margin_db)
    return rate, np.where(fade_db > knobs.margin_db, 1.0, knobs.unit_loss)
