"""What one satellite sees in one round (paper section 4.1): a P x P patch of a W x W window of the scene,
with an optional halo.

The window of a round and the offset of each satellite's patch in it are random; so are the flaws that a real
instrument adds. Every draw comes from (seed, round) or (seed, satellite, round), one stream per purpose: the
number of satellites, the order of ranks and the other knobs change nothing about what a satellite sees.

The flaws, in the order of the light path: a shift by a fraction of the stride and a rotation about the patch
centre (resampled with cubic B-splines), clouds that this view alone has, a radiometric gain, sensor noise,
rounding to 8 bits. All are off by default; the patch is then a plain crop. Cells where the scene has no data
are zero after all of them, and the capture's mask says which they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from codec.imagery.scaling import WIDE
from codec.imagery.scene import Scene
from constellation.common.errors import UserError
from constellation.scenario.imaging import CaptureKnobs
from nodes.crew import Look

LATENT_PX = 16  # ground pixels per latent position: every model of codec/models/model.py downsamples by 16
Reader = Callable[[int, int, int, int], np.ndarray]  # row, col, height, width -> a window
CLOUD_COLOUR = np.array([238.0, 240.0, 243.0])
_WINDOW, _OFFSET, _POSE, _GAIN, _NOISE, _CLOUD = range(0xCA90, 0xCA96)  # names of the random streams


@dataclass(frozen=True)
class Capture:
    """One view. P = `capture.patch_px`, h = `capture.halo_px`, H = W = P / 16 latent positions.

    image: np.uint8 [P, P, 3] (np.uint16 [P, P, bands] for a codec of other bands), the patch: what is coded,
    and what quality is measured against. padded: alike, [P + 2h, P + 2h, bands], the patch in its
    surroundings; beyond the scene's border pixels are mirrored about the border pixel, so two views still
    agree wherever they overlap.
    row, col: top left corner of the patch in the window, px. window_row, window_col: of the window in the
    scene, px. footprint: np.int64 [H, W], the id of the ground cell below each latent position
    (`ground_cells`), from the nominal
        position: it knows nothing of shift and rotation, like the geolocation that satellites would exchange.
    shift_px: (rows, cols) by which the view really is displaced. rotation_deg: about its centre. gain: factor
    on radiance. cloud_share: share of the patch that is more cloud than ground. valid: np.bool_ [P, P], where
    the patch shows the scene; None: everywhere. What is hidden (no data in the file) is zero in the image,
    and quality and rates are over valid pixels."""

    satellite: int
    round: int
    image: np.ndarray
    padded: np.ndarray
    row: int
    col: int
    window_row: int
    window_col: int
    footprint: np.ndarray
    shift_px: tuple[float, float]
    rotation_deg: float
    gain: float
    cloud_share: float
    valid: np.ndarray | None = None


def window_of_round(scene: Scene, knobs: CaptureKnobs, seed: int, round: int) -> tuple[int, int]:
    """Top left corner (row, col) of the round's W x W window in the scene, px, uniform over all that fit.

    Raises `UserError` where the scene is smaller than the window.
    """
    window = knobs.window_px
    if min(scene.height, scene.width) < window:
        raise UserError(
            f"scene.path={scene.name}: {scene.width}x{scene.height} px, "
            f"smaller than the window of {window} px"
        )
    stream = _stream(_WINDOW, seed, round)
    return int(stream.integers(scene.height - window + 1)), int(stream.integers(scene.width - window + 1))


def patch_offset(knobs: CaptureKnobs, seed: int, round: int, satellite: int) -> tuple[int, int]:
    """Top left corner (row, col) of the satellite's patch in the window, px: random multiples of the stride,
    all equally likely.

    Raises `UserError` where the patch is larger than the window.
    """
    room = knobs.window_px - knobs.patch_px
    if room < 0:
        raise UserError(
            f"capture.window_px={knobs.window_px}: smaller than capture.patch_px={knobs.patch_px}"
        )
    row, col = _stream(_OFFSET, seed, round, satellite).integers(room // knobs.stride_px + 1, size=2)
    return int(row) * knobs.stride_px, int(col) * knobs.stride_px


def capture(scene: Scene, knobs: CaptureKnobs, seed: int, round: int, satellite: int) -> Capture:
    """What `satellite` sees of `scene` in `round`. Raises `UserError` where window, patch and scene do not
    fit into each other."""
    window_row, window_col = window_of_round(scene, knobs, seed, round)
    row, col = patch_offset(knobs, seed, round, satellite)
    size, halo = knobs.patch_px, knobs.halo_px

    flaws = _stream(_POSE, seed, round, satellite).uniform(-1, 1, size=3)
    if knobs.flaws == "bound":  # a shift of that length in any direction; the others either way
        turn = np.pi * flaws[0]
        flaws = np.array([np.cos(turn), np.sin(turn), np.sign(flaws[2])])
    shift = (float(flaws[0] * knobs.jitter_px), float(flaws[1] * knobs.jitter_px))
    rotation = float(flaws[2] * knobs.rotation_deg)

    pose = _Pose(window_row + row - halo, window_col + col - halo, size + 2 * halo, shift, rotation)
    seen = _seen(scene, pose)
    padded, gain, cloud_share = weathered(
        _look(scene.read, scene, pose), knobs, (seed, round, satellite), seen, scene.bands > 0
    )
    corners = row, col, window_row, window_col
    return Capture(
        satellite,
        round,
        np.ascontiguousarray(_centre(padded, halo)),
        padded,
        *corners,
        ground_cells(row, col, size),
        shift,
        rotation,
        gain,
        cloud_share,
        valid_patch(seen, halo),
    )


def weathered(
    padded: np.ndarray, knobs: CaptureKnobs, key: tuple[int, int, int], seen: Any, wide: bool = False
) -> tuple[np.ndarray, float, float]:
    """What air and sensor make of a view, [P + 2h, P + 2h, bands]: as uint8, with the gain and the share of
    the patch under clouds. key: (seed, round, satellite); seen: bool, where it shows the scene, None:
    everywhere. wide: of 16-bit counts, 257 to one of 8 bits, which come back as uint16; clouds are alike in
    all bands then."""
    size, halo, bands = knobs.patch_px, knobs.halo_px, padded.shape[2]
    count, peak = (WIDE / 255, WIDE) if wide else (1.0, 255)
    brighter = _stream(_GAIN, *key).uniform(-1, 1)
    gain = 1.0 + float((np.sign(brighter) if knobs.flaws == "bound" else brighter) * knobs.gain)
    cloud_share = 0.0
    if knobs.clouds > 0:
        cover, shade = _clouds(size, halo, knobs.clouds, _stream(_CLOUD, *key))
        colour = np.full(bands, CLOUD_COLOUR.mean()) if wide else CLOUD_COLOUR
        padded = padded + cover[:, :, None] * (count * (colour - shade[:, :, None]) - padded)
        cloud_share = float((_centre(cover, halo) > 0.5).mean())
    padded = padded * gain
    if knobs.noise > 0:
        padded = padded + count * knobs.noise * _noise(size, halo, _stream(_NOISE, *key), bands)
    padded = np.clip(np.rint(padded), 0, peak).astype(np.uint16 if wide else np.uint8)
    if seen is not None:
        padded[~seen] = 0  # no cloud, gain or noise over what is not there
    return padded, gain, cloud_share


def valid_patch(seen: np.ndarray | None, halo: int) -> np.ndarray | None:
    """Of a view's pixels that show the scene those of the patch; None: all."""
    if seen is None or _centre(seen, halo).all():
        return None
    return np.ascontiguousarray(_centre(seen, halo))


def look_of(taken: Capture, scene: str) -> Look:
    """What of a capture travels through a round; its true pose does not."""
    place = (taken.row, taken.col, taken.window_row, taken.window_col, scene)
    return Look(taken.satellite, taken.round, taken.image, taken.padded, taken.footprint, place, taken.valid)


def ground_cells(row: int, col: int, patch_px: int) -> np.ndarray:
    """Ids of the 16 x 16 px ground cells below a patch whose corner is at (row, col) of the window, np.int64
    [P/16, P/16].

    id = (first pixel row) * 2^32 + first pixel column. Two positions have equal ids exactly when they see the
    same pixels, so patches whose offsets differ by a fraction of a cell (a stride that is no multiple of 16)
    share none."""
    steps = LATENT_PX * np.arange(patch_px // LATENT_PX, dtype=np.int64)
    return ((row + steps)[:, None] << 32) + (col + steps)[None, :]


def covered_by_earlier(footprints: Sequence[np.ndarray], order: Sequence[int]) -> list[np.ndarray]:
    """Which cells of each footprint belong to one that comes before it in `order` too, np.bool_ of each
    footprint's shape.

    `order`: indices of footprints, highest priority first.
    """
    if sorted(order) != list(range(len(footprints))):
        raise ValueError(f"order {list(order)} is no permutation of {len(footprints)} footprints")
    if not footprints:
        return []
    rank_of = {index: rank for rank, index in enumerate(order)}
    ranks = np.concatenate([np.full(cells.size, rank_of[i]) for i, cells in enumerate(footprints)])
    cell = np.unique(np.concatenate([cells.reshape(-1) for cells in footprints]), return_inverse=True)[
        1
    ].reshape(-1)
    earliest = np.full(int(cell.max()) + 1, len(footprints))
    np.minimum.at(earliest, cell, ranks)  # one index over all cells: n log n, however many footprints
    covered = np.split(earliest[cell] < ranks, np.cumsum([cells.size for cells in footprints])[:-1])
    return [part.reshape(cells.shape) for part, cells in zip(covered, footprints, strict=True)]


def oracle_share(captures: Sequence[Capture], order: Sequence[int] | None = None) -> np.ndarray:
    """Share of each capture's latent positions that an earlier capture covers, np.float64 [len(captures)].

    `order` lists satellite ids, highest priority first; None: by id. No deduplication that is right can save
    more positions between satellites. Its mean does not depend on the order."""
    satellites = [view.satellite for view in captures]
    ranking = (
        sorted(satellites) if order is None else [satellite for satellite in order if satellite in satellites]
    )
    covered = covered_by_earlier(
        [view.footprint for view in captures], [satellites.index(satellite) for satellite in ranking]
    )
    return np.array([cells.mean() for cells in covered])


# ---------------------------------------------------------------- geometry


def _stream(purpose: int, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([purpose, *key])))


def _centre(padded: np.ndarray, halo: int) -> np.ndarray:
    return padded[halo : padded.shape[0] - halo, halo : padded.shape[1] - halo]


def _mirrored(start: int, count: int, length: int) -> np.ndarray:
    """`count` coordinates from `start` on, mirrored into [0, length) about the first and the last pixel
    (which are not repeated)."""
    if length == 1:
        return np.zeros(count, dtype=np.int64)
    phase = np.arange(start, start + count) % (2 * length - 2)
    return np.minimum(phase, 2 * length - 2 - phase)


def _read_mirrored(read: Reader, scene: Scene, row: int, col: int, size: int) -> np.ndarray:
    rows, cols = _mirrored(row, size, scene.height), _mirrored(col, size, scene.width)
    top, left = int(rows.min()), int(cols.min())
    block = read(top, left, int(rows.max()) - top + 1, int(cols.max()) - left + 1)
    return block[np.ix_(rows - top, cols - left)]


@dataclass(frozen=True)
class _Pose:
    """A view of size x size px around its nominal place (row, col), displaced by `shift_px` and turned about
    its centre."""

    row: int
    col: int
    size: int
    shift_px: tuple[float, float]
    rotation_deg: float


def _look(read: Reader, scene: Scene, pose: _Pose, order: int = 3) -> np.ndarray:
    """What `read` shows at a pose, uint8 or float [size, size, bands]. order: of the spline between
    pixels."""
    row, col, size = pose.row, pose.col, pose.size
    if pose.shift_px == (0.0, 0.0) and pose.rotation_deg == 0.0:
        return _read_mirrored(read, scene, row, col, size)
    from scipy.ndimage import affine_transform

    angle = np.deg2rad(pose.rotation_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = (size - 1) / 2
    reach = centre * (abs(np.cos(angle)) + abs(np.sin(angle))) - centre + max(map(abs, pose.shift_px))
    margin = int(np.ceil(reach)) + 16  # 16 px: the spline's prefilter has decayed below 1e-8 of a count there
    block = _read_mirrored(read, scene, row - margin, col - margin, size + 2 * margin).astype(np.float64)
    offset = margin + centre + np.array(pose.shift_px) - turn @ np.array([centre, centre])
    given = cast(Any, offset)  # one for each axis; SciPy's default, 0.0, is taken for its type
    planes = [
        affine_transform(
            block[:, :, band], turn, given, output_shape=(size, size), order=order, mode="mirror"
        )
        for band in range(block.shape[2])
    ]
    return np.stack(planes, axis=2)


def _seen(scene: Scene, pose: _Pose) -> np.ndarray | None:
    """Where a view shows the scene, np.bool_ [size, size]; None: everywhere. A resampled pixel is seen where
    all the pixels around it are."""
    if scene.valid is None:
        return None

    def shares(row: int, col: int, height: int, width: int) -> np.ndarray:
        return scene.read_valid(row, col, height, width)[:, :, None].astype(np.uint8)

    return _look(shares, scene, pose, order=1)[:, :, 0] > 1 - 1e-6


# ---------------------------------------------------------------- clouds and noise


def _noise(size: int, halo: int, stream: np.random.Generator, bands: int) -> np.ndarray:
    """Standard normal noise, of the padded view; the patch's own values do not depend on the halo."""
    patch = stream.standard_normal((size, size, bands))
    noise = stream.standard_normal((size + 2 * halo, size + 2 * halo, bands))
    _centre(noise, halo)[:] = patch
    return noise


def _clouds(size: int, halo: int, share: float, stream: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays [size + 2 halo, size + 2 halo]: opacity in [0, 1], soft-edged, above one half on `share` of
    the patch; and how much darker than `CLOUD_COLOUR` the cloud is, in counts."""
    from codec.imagery.noise import octave_sum

    seed, row, col = (int(value) for value in stream.integers(1 << 20, size=3))
    # The widest undulations span 0.6 and 0.25 of the patch; a lattice's spacing is half its wavelength.
    where = np.arange(row - halo, row + size + halo), np.arange(col - halo, col + size + halo)
    field = octave_sum(seed, *where, 0.6 * size / 2, 6)
    shade = 12.0 * np.clip(octave_sum(seed + 1, *where, 0.25 * size / 2, 5) + 1, 0, 2)
    patch = _centre(field, halo)
    threshold = np.quantile(patch, 1.0 - share)
    softness = 0.35 * float(patch.std())
    if share >= 1.0:
        threshold -= softness
    opacity = np.clip(0.5 + (field - threshold) / (2 * softness), 0, 1)
    return opacity * opacity * (3 - 2 * opacity), shade
