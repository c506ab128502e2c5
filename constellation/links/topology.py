"""Which inter-satellite links exist at an instant, what their coming and going costs, and which satellites
observe a region.

Rules (`topology.rule`): `distance` (the paper: every pair up to `max_distance_km`), `grid` (+grid: the two
neighbours in the plane and the same slot of the two planes beside it), `nearest` (greedy by ascending
distance while both ends have a free terminal: `links/nearest`). All rules drop links longer than
`max_distance_km` and, with `line_of_sight`, links that dip below `atmosphere_margin_km` over a spherical
Earth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

from constellation.common.errors import UserError, naming
from constellation.links.budget import noise_label, rate_bps
from constellation.links.nearest import greedy_matching
from constellation.orbit.elements import text_of
from constellation.orbit.frames import EARTH_RADIUS_KM, itrs_of_ground_point_km
from constellation.orbit.orbits import Constellation
from constellation.orbit.planes import file_grid
from constellation.orbit.walker import WalkerPattern
from constellation.scenario.network import LinkKnobs, RegionKnobs, TopologyKnobs

MAX_LINKS = 20_000_000  # 2 GB while they are sorted and priced; 10,000 satellites at 3000 km have 2.6 million


@dataclass(frozen=True, eq=False)
class Topology:
    """The links of one instant; undirected, both directions at the same rate.

    satellites: how many there are, S. edges: int32 [E, 2], first < second, sorted. distance_km, rate_bps:
    float64 [E]. noise: which noise formula the rates rest on ("ktb", "paper", "optical", or "given" for a
    user's own graph)."""

    satellites: int
    edges: np.ndarray
    distance_km: np.ndarray
    rate_bps: np.ndarray
    noise: str
    rule: str


@dataclass(frozen=True)
class TopologyEvents:
    """Links that came and went between two instants, their control burden Omega_topo (appendix A), seconds,
    and how many links there are at the later one."""

    setups: int
    teardowns: int
    omega_s: float
    links: int


def topology_at(
    positions_km: np.ndarray,  # [S, 3], any one frame centred on the Earth
    knobs: TopologyKnobs,
    link: LinkKnobs,
    constellation: Constellation | None = None,  # only `grid` and `list` ask for it
) -> Topology:
    """The links among satellites at these positions. Raises `UserError` where the rule does not fit the
    constellation."""
    if knobs.rule == "distance":
        edges = pairs_within_reach(positions_km, knobs.max_distance_km)
    elif knobs.rule == "nearest":
        sees = _sight(positions_km, knobs)
        edges = greedy_matching(positions_km, knobs.terminals, knobs.max_distance_km, sees)
    elif knobs.rule == "list":
        edges = listed_edges(knobs.path, constellation)
    else:
        edges = grid_edges(constellation)
    return topology_of_pairs(positions_km, edges, knobs, link)


def topology_of_pairs(
    positions_km: np.ndarray, pairs: np.ndarray, knobs: TopologyKnobs, link: LinkKnobs
) -> Topology:
    """A `Topology` of those candidate pairs (int [E, 2], first < second, no repeats) that are near enough and
    see each other."""
    distance_km = np.linalg.norm(positions_km[pairs[:, 0]] - positions_km[pairs[:, 1]], axis=1)
    keep = (distance_km <= knobs.max_distance_km) & _sight(positions_km, knobs)(pairs)
    pairs, distance_km = pairs[keep], distance_km[keep]
    order = np.argsort(pairs[:, 0].astype(np.int64) * len(positions_km) + pairs[:, 1])
    return Topology(
        len(positions_km),
        pairs[order].astype(np.int32),
        distance_km[order],
        rate_bps(distance_km[order], link),
        noise_label(link),
        knobs.rule,
    )


def line_of_sight(first_km: np.ndarray, second_km: np.ndarray, margin_km: float) -> np.ndarray:
    """Whether the segment between two points clears a sphere of the Earth's equatorial radius plus the
    margin. Broadcasts over [..., 3]."""
    along = second_km - first_km
    length_squared = np.maximum(np.einsum("...i,...i", along, along), 1e-12)
    nearest = np.clip(-np.einsum("...i,...i", first_km, along) / length_squared, 0.0, 1.0)
    closest = first_km + nearest[..., None] * along
    return np.einsum("...i,...i", closest, closest) >= (EARTH_RADIUS_KM + margin_km) ** 2


def sight_can_be_blocked(positions_km: np.ndarray, knobs: TopologyKnobs) -> bool:
    """False where no link up to `max_distance_km` can dip under the margin (550 km altitude and 3000 km:
    grazes at 385 km)."""
    lowest = np.sqrt(np.einsum("...i,...i", positions_km, positions_km).min())
    grazing_squared = lowest**2 - (knobs.max_distance_km / 2) ** 2
    return not (grazing_squared >= (EARTH_RADIUS_KM + knobs.atmosphere_margin_km) ** 2)


def grid_edges(constellation: Constellation | None) -> np.ndarray:
    """The +grid pairs: int64 [E, 2], first < second. In a star pattern no link crosses the seam. Satellites
    of a file are put into planes first (`orbit/planes`).

    The last plane of a delta pattern meets plane 0 with a slot shift of F, because P steps of phase F * 360 /
    T are F slots."""
    if constellation is None:
        raise UserError("topology.rule=grid: the planes are unknown, expected rule=distance or nearest")
    if not constellation.shells:
        return file_grid(constellation)
    found, first = [], 0
    for shell in constellation.shells:  # no link leaves a shell: its neighbours stay
        found.append(first + _grid_pairs(shell.pattern, shell.closed))
        first += shell.pattern.total
    return np.concatenate(found)


def listed_edges(path: str, constellation: Constellation | None) -> np.ndarray:
    """Pairs of a user's own, int64 [E, 2], first < second: a line names two satellites, or numbers them from
    0; what follows # is a remark. Raises `UserError` that names the line."""
    if not path or constellation is None:
        raise UserError("topology.path: found nothing, expected a file because topology.rule=list")
    with naming("topology.path"):
        stamp = Path(path).stat().st_mtime_ns if Path(path).is_file() else 0  # read again when it changes
        return _listed_pairs(path, constellation.names, stamp)


@lru_cache(maxsize=4)
def _listed_pairs(path: str, names: tuple[str, ...], _stamp: int) -> np.ndarray:
    place = {name: number for number, name in enumerate(names)}
    pairs = set()
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        words = line.split("#")[0].replace(",", " ").split()
        if not words:
            continue
        ends = [place.get(word, int(word) if word.isascii() and word.isdigit() else -1) for word in words]
        if len(ends) != 2 or not 0 <= min(ends) < max(ends) < len(names):
            raise UserError(
                f"{path} line {number}: found {line[:60]!r}, expected two of the {len(names)} satellites, by "
                "name or number"
            )
        pairs.add((min(ends), max(ends)))
    found = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    found.flags.writeable = False
    return found


@lru_cache(maxsize=4)
def _grid_pairs(pattern: WalkerPattern, closed: bool) -> np.ndarray:
    plane, slot = np.divmod(np.arange(pattern.total), pattern.per_plane)
    fore = plane * pattern.per_plane + (slot + 1) % pattern.per_plane
    beside_slot = np.where(plane == pattern.planes - 1, slot + pattern.phasing, slot) % pattern.per_plane
    beside = (plane + 1) % pattern.planes * pattern.per_plane + beside_slot
    here = np.arange(pattern.total)
    across = slice(None) if closed else plane < pattern.planes - 1
    pairs = np.concatenate([np.stack([here, fore], 1), np.stack([here[across], beside[across]], 1)])
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    pairs = np.unique(pairs, axis=0)
    pairs.flags.writeable = False
    return pairs


def pairs_within_reach(positions_km: np.ndarray, max_distance_km: float) -> np.ndarray:
    """Int [E, 2], first < second. Raises `UserError` where memory would not hold them."""
    tree, count = KDTree(positions_km), len(positions_km)
    if count * (count - 1) // 2 > MAX_LINKS:
        # counting visits no pair of far or of near boxes one by one: a fraction of listing them
        links = (int(tree.count_neighbors(tree, max_distance_km)) - count) // 2
        if links > MAX_LINKS:
            raise UserError(
                f"topology.max_distance_km={max_distance_km:g}: {links} links among {count} satellites, "
                f"expected at most {MAX_LINKS}; give a shorter distance, or topology.rule=nearest or grid"
            )
    return tree.query_pairs(max_distance_km, output_type="ndarray")


def _sight(positions_km: np.ndarray, knobs: TopologyKnobs) -> Callable[[np.ndarray], np.ndarray]:
    """Which pairs, int [E, 2], see each other under the knobs: bool [E]."""
    if not (knobs.line_of_sight and sight_can_be_blocked(positions_km, knobs)):
        return lambda pairs: np.ones(len(pairs), dtype=bool)
    margin_km = knobs.atmosphere_margin_km
    return lambda pairs: line_of_sight(positions_km[pairs[:, 0]], positions_km[pairs[:, 1]], margin_km)


def topology_events(
    previous: Topology, following: Topology, knobs: TopologyKnobs, link: LinkKnobs
) -> TopologyEvents:
    """Set-ups and teardowns between two instants, and Omega_topo = setups * C_setup + teardowns * C_teardown
    (never part of T_round)."""
    before, after = (
        t.edges[:, 0].astype(np.int64) * t.satellites + t.edges[:, 1] for t in (previous, following)
    )
    kept = len(np.intersect1d(before, after, assume_unique=True))
    return events_cost((len(before), len(after), kept), knobs, link)


def events_cost(counts: tuple[int, int, int], knobs: TopologyKnobs, link: LinkKnobs) -> TopologyEvents:
    """Price the events of (links before, links after, links at both); an optical terminal must also point and
    acquire, `optical_acquisition_s`, at every set-up."""
    before, after, both = counts
    setups, teardowns = after - both, before - both
    setup_s = knobs.setup_s + (link.optical_acquisition_s if link.kind == "optical" else 0.0)
    return TopologyEvents(setups, teardowns, setups * setup_s + teardowns * knobs.teardown_s, after)


def select_region(positions_itrs_km: np.ndarray, region: RegionKnobs, count: int) -> np.ndarray:
    """The satellites that take part: [S, 3] (or [T, S, 3]) Earth-fixed positions, km -> int64 [K] (or [T,
    count], short rows end in -1).

    `nearest`: the `count` satellites nearest to the region's point, nearest first (slant range; ties by
    satellite id). `footprint`: of the satellites above the point's horizon that see it within
    `max_off_nadir_deg`, the nearest `count`; possibly none. Raises `UserError` where fewer satellites exist
    than are asked for."""
    single = positions_itrs_km.ndim == 2
    positions = positions_itrs_km[None] if single else positions_itrs_km
    if count > positions.shape[1]:
        raise UserError(
            f"satellites={count}: the constellation has {positions.shape[1]}, expected at least as many"
        )
    point = itrs_of_ground_point_km(region.latitude_deg, region.longitude_deg)
    to_satellite = positions - point
    slant = np.sqrt(np.einsum("tsi,tsi->ts", to_satellite, to_satellite))
    if region.rule == "footprint":
        radius = np.sqrt(np.einsum("tsi,tsi->ts", positions, positions))
        cosine = np.einsum("tsi,tsi->ts", positions, to_satellite) / (
            radius * slant
        )  # of the off-nadir angle
        sees = (cosine >= np.cos(np.radians(region.max_off_nadir_deg))) & (to_satellite @ point > 0)
        slant = np.where(sees, slant, np.inf)
    near = np.argpartition(slant, count - 1, axis=1)[:, :count]
    near.sort(axis=1)
    near = np.take_along_axis(near, np.argsort(np.take_along_axis(slant, near, 1), axis=1, kind="stable"), 1)
    chosen = np.where(np.isfinite(np.take_along_axis(slant, near, 1)), near, -1)
    return chosen[0][chosen[0] >= 0] if single else chosen
