"""A built-in scene for those who have no images: fields, roads, villages, woods, a river and clouds, at about
0.6 m per pixel.

Every pixel is a function of (seed, row, column) alone, so any window can be rendered by itself, on any
satellite, and agrees with every other window; there is no picture in memory. The ingredients: integer hashes
as random numbers, cubic B-spline lattice noise summed over octaves (a spectrum that falls as natural images
do), a hashed recursive partition of the plane into parcels, tree crowns on a jittered grid, and buildings
whose shadows are swept rectangles. A slight blur and sensor noise end it, as in a camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from codec.imagery.noise import NOTHING, hashed, octave_sum, unit
from codec.imagery.parcels import BLOCK_PX, SUN, crowns, parcels
from constellation.common.frozen import value

_BLUR = np.array([0.06, 0.24, 0.40, 0.24, 0.06], dtype=np.float32)  # point spread, about 0.95 px
_NOISE_COUNTS = 1.1
_STRIP_PIXELS = 1 << 16  # rendered at a time: bounds the memory, and stays near the cache

_CROPS = np.array(
    [
        [104, 122, 70],
        [126, 138, 82],
        [86, 108, 64],
        [168, 152, 108],
        [146, 122, 92],
        [182, 172, 128],
        [118, 98, 78],
        [150, 154, 84],
        [96, 118, 80],
        [134, 118, 84],
    ],
    dtype=np.float32,
)
_ROOFS = np.array(
    [
        [150, 92, 74],
        [164, 108, 86],
        [122, 84, 74],
        [138, 136, 134],
        [108, 106, 108],
        [172, 168, 162],
        [188, 180, 168],
    ],
    dtype=np.float32,
)
_CARS = np.array(
    [[225, 226, 228], [48, 48, 54], [150, 40, 40], [70, 84, 120], [180, 182, 184]], dtype=np.float32
)
_ASPHALT, _SAND, _LAWN, _WATER, _YARD = (
    np.array(colour, dtype=np.float32)
    for colour in ([112, 113, 115], [182, 168, 138], [98, 114, 70], [50, 70, 74], [142, 140, 136])
)
_Pair = tuple[np.ndarray, np.ndarray]  # along u, along v

_CROWN = np.array([62, 84, 48], dtype=np.float32)
_CLOUD = np.array([236, 238, 241], dtype=np.float32)


def render(seed: int, row: int, col: int, height: int, width: int) -> np.ndarray:
    """The window of scene `seed` whose top left corner is (row, col), np.uint8 [height, width, 3]."""
    seed = int(hashed(seed & 0xFFFFFFFF, seed >> 32))  # seeds have up to 63 bits
    strip = max(16, _STRIP_PIXELS // width)
    strips = [
        _render(seed, top, col, min(strip, row + height - top), width)
        for top in range(row, row + height, strip)
    ]
    return np.concatenate(strips)


def _render(seed: int, row: int, col: int, height: int, width: int) -> np.ndarray:
    margin = len(_BLUR) // 2
    picture = _paint(
        seed, np.arange(row - margin, row + height + margin), np.arange(col - margin, col + width + margin)
    )
    picture = sum((weight * picture[i : i + height] for i, weight in enumerate(_BLUR)), NOTHING)
    picture = sum((weight * picture[:, i : i + width] for i, weight in enumerate(_BLUR)), NOTHING)
    rows, cols, bands = (
        np.arange(row, row + height)[:, None, None],
        np.arange(col, col + width)[None, :, None],
        np.arange(3),
    )
    grain = (
        unit(hashed(seed, 90, rows, cols, bands)) + unit(hashed(seed, 91, rows, cols, bands)) - np.float32(1)
    )
    return np.clip(np.rint(picture + np.float32(_NOISE_COUNTS * 6**0.5) * grain), 0, 255).astype(np.uint8)


def _step(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _over(picture: np.ndarray, colour: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    return picture + opacity[..., None] * (colour - picture)


# ---------------------------------------------------------------- the land


@value
class _Site:
    """What a window of scene `seed` is painted from; arrays are [rows, cols].

    rows, cols: of the window's pixels, [n] each. u, v: along the parcels' two directions, px. sun: the way to
    it along u and v. land: what `parcels` says of each pixel. fine, mottle: noise of short and long
    wavelength."""

    seed: int
    rows: np.ndarray
    cols: np.ndarray
    u: np.ndarray
    v: np.ndarray
    sun: tuple[np.float32, np.float32]
    land: Mapping[str, np.ndarray]
    fine: np.ndarray
    mottle: np.ndarray


def _paint(seed: int, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """The scene without blur and sensor noise, np.float32 [len(rows), len(cols), 3] in 8-bit counts."""

    def noise(name: int, spacing: float, octaves: int = 1, shift: float = 0.0) -> np.ndarray:
        return octave_sum(seed * 131 + name, rows + shift * SUN[0], cols + shift * SUN[1], spacing, octaves)

    angle = 0.15 + 1.2 * float(unit(hashed(seed, 1)))
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    y, x = rows.astype(np.float32)[:, None], cols.astype(np.float32)[None, :]
    u, v = c * x + s * y + 9 * noise(1, 170, 2), c * y - s * x + 9 * noise(2, 170, 2)
    sun = c * SUN[1] + s * SUN[0], c * SUN[0] - s * SUN[1]
    fine, mottle = noise(3, 1.6, 2), noise(4, 40, 4)
    site = _Site(seed, rows, cols, u, v, sun, parcels(seed, u, v), fine, mottle)
    wet = np.abs(noise(5, 520, 5) + np.float32(0.15))  # zero on the river's axis
    water, bank = 1 - _step(wet, 0.050, 0.060), 1 - _step(wet, 0.08, 0.14)
    wood = _step(noise(6, 150, 5) + np.float32(0.6) * bank, 0.95, 1.05)
    town = (unit(hashed(site.land["block"], 9)) < 0.38) & (wet > 0.11) & (wood < 0.5)

    picture, hedge = _fields(site)
    picture, garden = _houses(picture, site, town)
    picture = _over(picture, _SAND + 5 * fine[..., None] + 8 * mottle[..., None], bank * 0.55)
    picture = _over(picture, _WATER + (1.2 * noise(7, 3, 2) + 4 * noise(8, 200, 2))[..., None], water)
    picture = _roads(picture, site, town)

    open_ground = (1 - water) * _step(site.land["road"], 7, 10)
    density = open_ground * np.maximum(np.maximum(wood, 0.55 * hedge), np.maximum(0.30 * garden, 0.45 * bank))
    picture = _trees(picture, site, density, wood * open_ground)
    return _sky(picture, noise)


def _fields(site: _Site) -> tuple[np.ndarray, np.ndarray]:
    """Crops, and where hedges part them."""
    land, fine, key = site.land, site.fine, site.land["key"]
    colour = (
        _CROPS[hashed(key, 20) % np.uint32(len(_CROPS))]
        * (np.float32(0.86) + np.float32(0.28) * unit(hashed(key, 21)))[..., None]
    )
    along = np.where(
        land["wu"] > land["wv"], site.v - land["v0"], site.u - land["u0"]
    )  # rows run along the longer side
    period = np.float32(3.4) + np.float32(5.0) * unit(hashed(key, 22))
    depth = np.float32(7.5) * unit(hashed(key, 23)) ** 2
    rows = depth * np.sin(np.float32(2 * np.pi) * along / period)
    tram = along % np.float32(26)
    tracks = np.where((tram < 1.3) | ((tram > 4.2) & (tram < 5.5)), np.float32(-9) * unit(hashed(key, 24)), 0)
    rough = np.float32(1.5) + np.float32(4.0) * unit(hashed(key, 25))
    patchy = (np.float32(3) + np.float32(5) * unit(hashed(key, 26))) * site.mottle
    shade = rows + tracks + rough * fine + patchy
    picture = colour + shade[..., None] * np.array([1.0, 0.96, 0.8], dtype=np.float32)
    margin = 1 - _step(land["edge"], 1.5, 4.0)
    picture = _over(picture, _LAWN * np.float32(0.9) + 5 * fine[..., None], margin * 0.8)
    hedge = np.where(unit(hashed(key, 27)) < 0.5, 1 - _step(land["edge"], 3.0, 6.0), 0)
    return picture, hedge.astype(np.float32)


def _houses(picture: np.ndarray, site: _Site, town: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lots with a roof, its shadow and a lawn in every parcel of a town block; large sheds and yards in some
    parcels. Also where there are gardens."""
    land, fine = site.land, site.fine
    key = hashed(land["key"], 40)
    sheds = unit(hashed(key, 1)) < 0.22
    street = np.float32(5.0)
    side = np.where(sheds, np.float32(92), np.float32(30) + np.float32(9) * unit(hashed(key, 2)))
    inner_u, inner_v = np.maximum(land["wu"] - 2 * street, 8), np.maximum(land["wv"] - 2 * street, 8)
    lot_u = inner_u / np.maximum(1, np.rint(inner_u / side))
    lot_v = inner_v / np.maximum(1, np.rint(inner_v / side))
    a, b = (site.u - land["u0"] - street) / lot_u, (site.v - land["v0"] - street) / lot_v
    ia, ib = np.floor(a), np.floor(b)
    lot = hashed(key, ia.astype(np.int64), ib.astype(np.int64))
    pu, pv = (
        (a - ia - np.float32(0.5)) * lot_u,
        (b - ib - np.float32(0.5)) * lot_v,
    )  # from the lot's centre, px
    share = np.where(sheds, np.float32(0.34), np.float32(0.20))
    half_u = lot_u * (share + np.float32(0.09) * unit(hashed(lot, 3)))
    half_v = lot_v * (share + np.float32(0.09) * unit(hashed(lot, 4)))
    pu = pu - (unit(hashed(lot, 5)) - np.float32(0.5)) * (lot_u * np.float32(0.22))
    pv = pv - (unit(hashed(lot, 6)) - np.float32(0.5)) * (lot_v * np.float32(0.22))
    built = town & (unit(hashed(lot, 7)) < 0.88) & (land["edge"] > street)
    roof = built & (np.abs(pu) < half_u) & (np.abs(pv) < half_v)
    tall = np.where(sheds, np.float32(9), np.float32(4.5) + np.float32(4) * unit(hashed(lot, 8)))
    shadow = built & _swept((pu, pv), (half_u, half_v), site.sun, tall)

    lawn = (
        np.where(sheds[..., None], _YARD, _LAWN)
        * (np.float32(0.88) + np.float32(0.25) * unit(hashed(lot, 9)))[..., None]
    )
    picture = np.where(town[..., None], lawn + (4 * fine + 5 * site.mottle)[..., None], picture)
    drive = built & ~sheds & (np.abs(pu - half_u - 3) < 2.2) & (pv > -half_v)
    picture = np.where(drive[..., None], _YARD + (3 * fine)[..., None], picture)
    picture = np.where(shadow[..., None], picture * np.array([0.46, 0.49, 0.56], dtype=np.float32), picture)
    ridge = np.where(half_u > half_v, pv, pu)
    facing = np.where(half_u > half_v, site.sun[1], site.sun[0])
    slope = np.where(sheds, 2 * np.sign(np.sin(ridge * np.float32(1.1))), -16 * facing * np.sign(ridge))
    palette = np.where(
        sheds, np.uint32(3) + hashed(lot, 10) % np.uint32(4), hashed(lot, 10) % np.uint32(len(_ROOFS))
    )
    tiles = (
        _ROOFS[palette] * (np.float32(0.85) + np.float32(0.3) * unit(hashed(lot, 11)))[..., None]
        + (slope + 2 * fine)[..., None]
    )
    picture = np.where(roof[..., None], tiles, picture)
    return picture, (town & ~roof & ~sheds & ~drive & (land["edge"] > street)).astype(np.float32)


def _swept(point: _Pair, half: _Pair, along: tuple[np.float32, np.float32], length: np.ndarray) -> np.ndarray:
    """Whether a point (u, v) lies in the rectangle |u| < half u, |v| < half v moved along a direction by some
    way in [0, length]."""
    near, far = np.zeros_like(point[0]), np.broadcast_to(length, point[0].shape)
    for p, reach, d in zip(point, half, along, strict=True):
        d = d if abs(d) > 1e-3 else 1e-3
        first, second = (p - reach) / d, (p + reach) / d
        near, far = np.maximum(near, np.minimum(first, second)), np.minimum(far, np.maximum(first, second))
    return near <= far


def _roads(picture: np.ndarray, site: _Site, town: np.ndarray) -> np.ndarray:
    """Tracks between fields, streets in towns, roads with dashes between blocks, and cars."""
    land, fine, u = site.land, site.fine, site.u
    grey = _ASPHALT + (2.5 * fine + 4 * site.mottle)[..., None]
    track = (1 - _step(land["edge"], 1.0, 2.2)) * (~town & (unit(hashed(land["key"], 60)) < 0.4))
    picture = _over(picture, _SAND + 5 * fine[..., None], track * 0.8)
    picture = _over(picture, grey, (1 - _step(land["edge"], 3.4, 4.2)) * town)
    picture = _over(picture, _SAND * np.float32(0.9), 1 - _step(land["road"], 7.2, 8.6))
    picture = _over(picture, grey * np.float32(0.92), 1 - _step(land["road"], 6.2, 7.0))
    way = np.where(np.minimum(u % np.float32(BLOCK_PX), (-u) % np.float32(BLOCK_PX)) < 9, site.v, u)
    dashes = (land["road"] < 0.6) & (way % np.float32(14) < 7)
    picture = np.where(dashes[..., None], np.float32(190), picture)
    for near, far, distance, share in ((2.0, 4.6, land["road"], 0.10), (1.6, 3.6, land["edge"], 0.16)):
        slot = hashed(land["key"], 61, np.floor(way / 7).astype(np.int64))
        car = (distance > near) & (distance < far) & (unit(slot) < share) & (way % np.float32(7) < 5)
        if distance is land["edge"]:
            car &= town & (land["road"] > 8)
        picture = np.where(car[..., None], _CARS[hashed(slot, 1) % np.uint32(len(_CARS))], picture)
    return picture


def _trees(picture: np.ndarray, site: _Site, density: np.ndarray, wood: np.ndarray) -> np.ndarray:
    """Crowns, as many as `density` says, their shadows, and the floor of the woods."""
    seed, rows, cols, fine = site.seed, site.rows, site.cols, site.fine
    dome, light, tree = crowns(seed, rows, cols, 11.0)
    stands = (tree < density) & (dome > 0)
    above, _, caster = crowns(seed, rows - 4.0 * SUN[0], cols - 4.0 * SUN[1], 11.0)
    shade = (caster < density) & (above > 0.25) & ~stands
    picture = _over(picture, _CROWN * np.float32(0.62) + 4 * fine[..., None], wood)  # the floor of the wood
    picture = np.where(shade[..., None], picture * np.array([0.50, 0.53, 0.60], dtype=np.float32), picture)
    hue = np.array([22, 14, 8], dtype=np.float32) * ((tree * 613) % 1 - np.float32(0.5))[..., None]
    leaves = (
        _CROWN
        + hue
        + (20 * light * (1 - np.float32(0.4) * dome) + 8 * dome - 8 + 5 * fine + 5 * site.mottle)[..., None]
    )
    return np.where(stands[..., None], leaves, picture)


def _sky(picture: np.ndarray, noise: Callable[..., np.ndarray]) -> np.ndarray:
    """Uneven light, haze, and clouds with the shadows they cast."""
    picture = picture * (1 + np.float32(0.035) * noise(70, 420, 2))[..., None]
    picture = 10 + np.float32(0.95) * picture + np.array([0, 1, 4], dtype=np.float32)
    shadow = np.float32(0.45) * _step(noise(71, 190, 6, shift=-75.0), 1.75, 2.4)
    picture = picture * (1 - shadow[..., None] * np.array([1.0, 0.97, 0.9], dtype=np.float32))
    cover = noise(71, 190, 6)
    return _over(picture, _CLOUD - np.float32(9) * noise(72, 30, 4)[..., None], _step(cover, 1.75, 2.7))
