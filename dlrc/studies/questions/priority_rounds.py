"""Rounds of the priority study: who takes part, who keeps what under each rule, and when it is down."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from constellation.common.errors import UserError
from constellation.links.topology import select_region
from constellation.orbit.orbits import Constellation, subset
from constellation.passes.contacts import DAY_S, contact_windows, link_metric, next_contact
from constellation.passes.energy import energy_metric
from constellation.passes.queue import Service, last_byte_times_s, service_of
from constellation.priority import priority_order
from constellation.scenario.imaging import CaptureKnobs
from constellation.scenario.network import EnergyKnobs
from constellation.scenario.scenario import Scenario
from nodes.arbiter import owners_of
from nodes.capture import ground_cells, patch_offset
from nodes.messages import Header

RULES = ("id", "link", "energy", "random", "balanced")


@dataclass(frozen=True)
class Request:
    """What the command line asks for; `rounds` of the scenario is this study's."""

    scenario: Scenario
    every_s: float
    tiles: int
    bits_per_vector: float
    days: float
    own_rule: str = ""

    @property
    def rules(self) -> tuple[str, ...]:
        """The shipped ones, and the user's own."""
        return (*RULES, self.own_rule) if self.own_rule else RULES

    @property
    def folder(self) -> Path:
        key = f"{self.scenario.digest} {self.every_s} {self.tiles} {self.bits_per_vector} {self.days}"
        key += f" {self.own_rule}" if self.own_rule else ""
        return Path(self.scenario.output) / f"priority-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, eq=False)
class Gathering:
    """Who takes part in one round, N satellites, and the downlinks that they have: members int64 [N];
    services by place in `members`, from `time_s` on."""

    number: int
    time_s: float
    members: np.ndarray
    services: dict[int, Service]


@dataclass(frozen=True, eq=False)
class Outcome:
    """One rule in one round; N satellites. bytes_kept: [N]. own_s: [N] last byte of each, after the capture;
    usable_s: [N]; inf = not within the windows. energy_j: [N] of sending what is kept; charge: [N] of the
    battery after it, 0 to 1; nan where there is no contact to send in. lost_bytes: [N], sent anew where that
    satellite is lost: the independent streams of all who refer to it."""

    rule: str
    round: int
    time_s: float
    members: np.ndarray
    order: tuple[int, ...]
    bytes_kept: np.ndarray
    own_s: np.ndarray
    usable_s: np.ndarray
    nine_tenths_s: float
    energy_j: np.ndarray
    charge: np.ndarray
    lost_bytes: np.ndarray

    @property
    def fairness(self) -> float:
        """Jain's index of the bytes kept: 1 where all keep alike, 1 / N where one keeps all; nan where nobody
        keeps any (Jain, Chiu and Hawe 1984)."""
        squares = float((self.bytes_kept**2).sum())
        return float(self.bytes_kept.sum()) ** 2 / (len(self.bytes_kept) * squares) if squares else np.nan


def fly(request: Request, constellation: Constellation, number: int) -> list[Outcome]:
    """All rules on one round's captures and contacts; none where nobody sees the region."""
    scenario, ground = request.scenario, request.scenario.ground
    gathering = gather(request, constellation, number)
    members, time_s = gathering.members, gathering.time_s
    if not len(members):
        return []
    lists = signature_lists(scenario.capture, scenario.seed, number, len(members))
    metrics = {
        "link": link_metric(constellation, members, time_s, ground),
        "energy": energy_metric(constellation, members, time_s, scenario.energy),
    }
    rates = dict(enumerate(next_contact(constellation, members, time_s, ground).mean_rate_bps.tolist()))
    outcomes = []
    power = Power(np.array([rates[who] for who in range(len(members))]), metrics["energy"], scenario.energy)
    for rule in request.rules:
        metric = metrics.get(rule, np.zeros(len(members)))
        headers = [Header(who, number, float(value), len(lists[who]), 0) for who, value in enumerate(metric)]
        order = priority_order(rule, headers, scenario.seed, number)
        decided = owners_of(dict(enumerate(lists)), order, rule, rate_bps=rates)
        owners = [decided[who][0] for who in range(len(members))]
        outcomes.append(deliver(request, Choice(rule, order, owners), gathering, power))
    return outcomes


def gather(request: Request, constellation: Constellation, number: int) -> Gathering:
    """Participants of a round and their downlinks. Raises `UserError` where none of them meets the
    station."""
    scenario, ground = request.scenario, request.scenario.ground
    time_s = number * request.every_s
    positions_km = constellation.positions_itrs_km(np.array([time_s]))[0]
    members = select_region(positions_km, scenario.region, scenario.satellites)
    if not len(members):
        return Gathering(number, time_s, members, {})
    windows = contact_windows(subset(constellation, members), ground, time_s, time_s + request.days * DAY_S)
    if not len(windows):
        raise UserError(
            f"ground.{ground.name}: none of the satellites {members.tolist()[:16]} rises above "
            f"{ground.min_elevation_deg:g} deg there within {request.days:g} days; expected a station "
            f"that the "
            "orbits pass"
        )
    own = subset(constellation, members)
    services = {who: service_of(own, windows, who, ground) for who in range(len(members))}
    return Gathering(number, time_s, members, services)


def signature_lists(capture: CaptureKnobs, seed: int, number: int, satellites: int) -> list[np.ndarray]:
    """Each satellite's signatures: the ground cells below its patch, int64 [H * W] each."""
    corners = [patch_offset(capture, seed, number, satellite) for satellite in range(satellites)]
    return [ground_cells(row, col, capture.patch_px).reshape(-1) for row, col in corners]


@dataclass(frozen=True, eq=False)
class Choice:
    """What a rule decided. order: highest priority first; owners: of every entry, by satellite."""

    rule: str
    order: tuple[int, ...]
    owners: Sequence[np.ndarray]


@dataclass(frozen=True, eq=False)
class Power:
    """What sending takes. rate_bps: float64 [N] of the next contact, 0 where there is none; charge: float64
    [N] at the capture."""

    rate_bps: np.ndarray
    charge: np.ndarray
    knobs: EnergyKnobs

    def spent(self, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Joules of sending so many bytes, and the charge after it; nan without a contact."""
        rate_bps = np.where(self.rate_bps > 0, self.rate_bps, np.nan)
        energy_j = np.where(sizes > 0, sizes * 8 / rate_bps * self.knobs.transmit_w, 0.0)
        return energy_j, np.maximum(0.0, self.charge - energy_j / 3600 / self.knobs.battery_wh)


def lost_bytes_of(owners: Sequence[np.ndarray], size: float) -> np.ndarray:
    """Of each owner: the independent streams, `size` bytes each, of all who refer to it; float64 [N]."""
    referred = [set(np.unique(owner).tolist()) - {who} for who, owner in enumerate(owners)]
    return np.array([size * sum(lost in others for others in referred) for lost in range(len(owners))])


def deliver(request: Request, choice: Choice, gathering: Gathering, power: Power) -> Outcome:
    """Queue what each satellite keeps, and find out when it is down and what it took."""
    rule, order, owners = choice.rule, choice.order, choice.owners
    time_s, services = gathering.time_s, gathering.services
    kept = np.array([(owner == who).sum() for who, owner in enumerate(owners)])
    sizes = kept * request.tiles * request.bits_per_vector / 8
    finish = last_byte_times_s(services, dict(enumerate(sizes.tolist())), time_s)
    own_s = np.array([finish[who] for who in range(len(sizes))]) - time_s
    usable_s = np.array([max(own_s[list({*owner.tolist(), who})]) for who, owner in enumerate(owners)])
    nine_tenths_s = time_of_share(services, sizes, time_s, 0.9) - time_s
    energy_j, charge = power.spent(sizes)
    return Outcome(
        rule,
        gathering.number,
        time_s,
        gathering.members,
        order,
        sizes,
        own_s,
        usable_s,
        nine_tenths_s,
        energy_j,
        charge,
        lost_bytes_of(owners, len(owners[0]) * request.tiles * request.bits_per_vector / 8),
    )


def time_of_share(services: dict[int, Service], sizes: np.ndarray, ready_s: float, share: float) -> float:
    """When this share of all bytes, of all satellites together, is on the ground (bisection, to a
    millisecond); inf where it never is."""
    end_s = max(float(service.end_s[-1]) for service in services.values() if len(service.end_s))

    def down(time_s: float) -> float:
        return sum(
            min(size, services[who].carried_bytes(time_s) - services[who].carried_bytes(ready_s))
            for who, size in enumerate(sizes)
        )

    wanted = share * sizes.sum()
    if down(end_s) < wanted:
        return np.inf
    low, high = ready_s, end_s
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if down(middle) >= wanted else (middle, high)
    return high


def bytes_before(request: Request, outcomes: Sequence[Outcome]) -> float:
    """Bytes of a mean round of these outcomes without deduplication: of those who take part."""
    present = np.mean([len(outcome.members) for outcome in outcomes])
    return float(present) * vectors_of(request.scenario.capture) * request.tiles * request.bits_per_vector / 8


def vectors_of(capture: CaptureKnobs) -> int:
    """Latent positions of a patch: one for each 16 x 16 px."""
    return (capture.patch_px // 16) ** 2
