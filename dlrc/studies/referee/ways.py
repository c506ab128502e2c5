"""The ways of avoiding a second copy of what several satellites see, and what each costs.

Times and energies are of this machine's processor, one core (`time.thread_time`), and of the scenario's
links; a station has a channel for every satellite, at the rate of the edge of a pass, and waiting for a
contact is in no way's delay. What a way needs of the ground's uplink goes at `UPLINK_BPS`, an assumption."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from codec.bitstream import pack, unpack
from constellation.common.frozen import value
from constellation.network import SpaceSegment
from constellation.orbit.frames import EARTH_RADIUS_KM
from constellation.scenario.network import EnergyKnobs
from dlrc.studies.common.variants import Compared, Shared, Trial, Variant, fly
from nodes.encoder import analyse, view_of

UPLINK_BPS = 256e3  # assumption: a telecommand channel
HASH_BYTES = 4  # of a vector, sent down in the dialogue: one wrong match in 2,000 rounds of 2,048 vectors
FRAME_BYTES = 8  # assumption: around a message of the dialogue, or an uplinked reference
LIGHT_KM_S = 299792.458


@value
class Scene:
    """A window's captures, analysed and coded alone. number: of the round. base_s: of one satellite's
    analysis and independent coding. rates: bit/s between satellites (median of the links) and down."""

    trial: Trial
    number: int
    views: Sequence[Shared]
    base_s: float
    between_bps: float
    down_bps: float
    slant_km: float

    @property
    def alone_bytes(self) -> int:
        return sum(len(view.alone) for view in self.views)

    @property
    def light_s(self) -> float:
        """One way between a satellite at the edge of a pass and its station."""
        return self.slant_km / LIGHT_KM_S


@value
class Ledger:
    """Of one way in one window, all satellites together. bytes: down, between satellites (each message once),
    up. delay_s: from the capture until the last picture is usable. joules: of computing and sending on board.
    dpsnr_db: mean change against independent coding, each against the satellite's own capture; worst: of one
    view. failed: pictures that did not decode."""

    down_bytes: int
    between_bytes: int
    up_bytes: int
    delay_s: float
    joules: float
    onboard_s: float
    dpsnr_db: float = 0.0
    worst_db: float = 0.0
    failed: int = 0


Way = Callable[[Scene], Ledger]


def scene_of(trial: Trial, number: int, views: Sequence[Shared]) -> Scene:
    """A window to compare the ways over."""
    instant = SpaceSegment(trial.scenario).at(number)
    look = views[0].look
    started = time.thread_time()
    view_of(trial.board, trial.rules.codec, look, analyse(trial.board, look.padded, look.halo_px))
    base_s = time.thread_time() - started
    rates = instant.topology.rate_bps
    between = float(np.median(rates)) if len(rates) else float("inf")
    return Scene(trial, number, views, base_s, between, instant.downlink_rate_bps(0), _slant_km(trial))


def _slant_km(trial: Trial) -> float:
    elevation = np.deg2rad(trial.scenario.ground.min_elevation_deg)
    radius = EARTH_RADIUS_KM + trial.scenario.orbit.altitude_km
    return float(
        np.sqrt(radius**2 - (EARTH_RADIUS_KM * np.cos(elevation)) ** 2) - EARTH_RADIUS_KM * np.sin(elevation)
    )


def joules(scene: Scene, onboard_s: float, down_bytes: float, between_bytes: float) -> float:
    """Computing, and sending: down once, to each other satellite once (unicast)."""
    energy: EnergyKnobs = scene.trial.scenario.energy
    others = len(scene.views) - 1
    sending_s = 8 * down_bytes / scene.down_bps + 8 * between_bytes * others / scene.between_bps
    return energy.compute_w * onboard_s + energy.transmit_w * sending_s


# ---------------------------------------------------------------- the ways


def independent(scene: Scene) -> Ledger:
    """Everybody codes everything itself."""
    onboard_s = scene.base_s * len(scene.views)
    last_s = max(8 * len(view.alone) / scene.down_bps for view in scene.views)
    spent = joules(scene, onboard_s, scene.alone_bytes, 0)
    return Ledger(scene.alone_bytes, 0, 0, scene.base_s + last_s, spent, onboard_s)


def flown(scene: Scene, **dlrc: str) -> tuple[Variant, Ledger]:
    """A run's own rounds under some knobs of `dlrc`."""
    variant = fly(scene.trial.under(dlrc=dlrc), scene.number, scene.views)
    down = sum(variant.total_bytes)
    between = sum(note.payload_bytes for note in variant.notes.values())
    computed_s = {s: computing_s(note.spans) for s, note in variant.notes.items()}
    onboard_s = sum(computed_s.values()) + scene.base_s * len(scene.views)
    delay_s = scene.base_s + max(_lasts_s(note.spans) for note in variant.notes.values())
    change = Compared.of(scene.views, variant).change
    spent = joules(scene, onboard_s, down, between)
    return variant, Ledger(
        down,
        between,
        0,
        delay_s,
        spent,
        onboard_s,
        float(np.nanmean(change)),
        float(np.nanmin(change)),
        variant.failed,
    )


def signatures(scene: Scene) -> Ledger:
    """DLRC: signatures of latent vectors are exchanged."""
    return flown(scene, exchange="signatures", dedup="signature", signature="lsh")[1]


def conditional(scene: Scene) -> Ledger:
    """Streams are exchanged, and coded in each other's light."""
    return flown(scene, exchange="streams", dedup="conditional")[1]


def hybrid(scene: Scene) -> Ledger:
    """Streams are exchanged; exact copies where there are any, and coding in each other's light."""
    return flown(scene, exchange="streams", dedup="hybrid")[1]


def footprints(scene: Scene) -> Ledger:
    """The first who looks there codes it: from the orbits alone, without a message."""
    variant, found = flown(scene, exchange="signatures", dedup="footprint")
    spans = [note.spans for note in variant.notes.values()]
    waiting_s = max(span[2] for each in spans for span in each if span[0] == "sync")
    spent = joules(scene, found.onboard_s, found.down_bytes, 0)
    return replace(found, between_bytes=0, delay_s=found.delay_s - waiting_s, joules=spent)


def dialogue(scene: Scene) -> Ledger:
    """Hashes of vectors go down during the pass, and the ground says by a bitmap which vectors it wants.

    It knows then what everybody keeps, so streams need no map; exact copies only."""
    variant, found = flown(scene, exchange="signatures", dedup="signature", signature="content")
    satellites, cells = len(scene.views), scene.views[0].y[0].size
    hashes = HASH_BYTES * cells + FRAME_BYTES
    bitmap = -(-cells // 8) + FRAME_BYTES
    streams = [_without_map(data) for data in variant.streams.values()]
    down, up = sum(streams) + satellites * hashes, satellites * bitmap
    waiting_s = max(span[2] for note in variant.notes.values() for span in note.spans if span[0] == "sync")
    talking_s = 2 * scene.light_s + 8 * hashes / scene.down_bps + 8 * bitmap / UPLINK_BPS
    spent = joules(scene, found.onboard_s, down, 0)
    delay_s = found.delay_s - waiting_s + talking_s
    return replace(found, down_bytes=down, between_bytes=0, up_bytes=up, delay_s=delay_s, joules=spent)


def _without_map(data: bytes) -> int:
    return len(pack(replace(unpack(data), map=b"")))


def computing_s(spans: Sequence[tuple[str, float, float, str]]) -> float:
    """What a satellite computed, s."""
    return sum(span[2] for span in spans if span[3] == "compute")


def _lasts_s(spans: Sequence[tuple[str, float, float, str]]) -> float:
    return max(span[1] + span[2] for span in spans) - min(span[1] for span in spans)
