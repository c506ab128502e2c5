"""A reference that the ground sends up before the pass, as Earth+ does (Du et al. 2024): the satellite codes
the tiles that have changed against it.

The ground has a picture of the same ground from an earlier day, here the same window captured without any
disturbance and coded by the same codec: nothing has changed in it but what the disturbance does, which is
the best case for this way. It goes up at a low resolution. On board it is fitted to the view in brightness (a
gain and an offset per band); a tile in which some cell differs by more than `CHANGE` is sent. The ground
takes the others from its own picture."""

from __future__ import annotations

import time

import numpy as np

from codec.bitstream import Bitstream, pack
from codec.entropy.encoder import encode
from codec.maps.assignment import FILL
from dlrc.studies.common.sights import Sights
from dlrc.studies.referee.ways import FRAME_BYTES, Ledger, Scene, joules
from ground.metrics import psnr_db
from ground.reconstructor import synthesise
from nodes.capture import look_of
from nodes.encoder import analyse, header_of, hyper_symbols

CELL_PX = 16  # of the uplinked picture
TILE_PX = 64
CHANGE = 2.5  # 8-bit counts: one percent, as Earth+ has it


def uplinked(scene: Scene) -> Ledger:
    """The tiles that differ from an uplinked picture."""
    trial, found = scene.trial, []
    before = Sights(trial.scenario.scene, trial.scenario.capture, trial.scenario.seed)
    calm = before.under(jitter_px=0.0, rotation_deg=0.0, gain=0.0, noise=0.0, clouds=0.0)
    for view in scene.views:
        look = look_of(*calm.look(scene.number, view.look.satellite))
        y = analyse(trial.board, look.padded, look.halo_px)
        found.append(_sent(scene, view, np.rint(y)))
    sizes, changes, spent_s = zip(*found, strict=True)
    satellites, cells = len(found), (scene.views[0].look.image.shape[0] // CELL_PX) ** 2 * 3
    onboard_s = sum(spent_s) + scene.base_s * satellites
    delay_s = scene.base_s + max(
        taken_s + 8 * size / scene.down_bps for size, taken_s in zip(sizes, spent_s, strict=True)
    )
    return Ledger(
        sum(sizes),
        0,
        satellites * (cells + FRAME_BYTES),
        delay_s,
        joules(scene, onboard_s, sum(sizes), 0),
        onboard_s,
        float(np.nanmean(changes)),
        float(np.nanmin(changes)),
    )


def _sent(scene: Scene, view, earlier: np.ndarray) -> tuple[int, float, float]:
    """(bytes, change of PSNR in dB, seconds on board) of one satellite. earlier: the ground's y_hat."""
    board, rules, look = scene.trial.board, scene.trial.rules, view.look
    held = synthesise(board.model, earlier, 0)
    started = time.thread_time()
    tiles = changed(look.image, held)
    cells = np.kron(tiles, np.ones((TILE_PX // 16, TILE_PX // 16), bool)).astype(bool)
    known = np.where(cells, np.arange(cells.size, dtype=np.int32).reshape(cells.shape), FILL)
    y_hat = np.rint(view.y).astype(np.int32)
    coded = encode(board.entropy(rules.codec), hyper_symbols(board, rules.codec, view.y), y_hat, known)
    taken_s = time.thread_time() - started
    header = header_of(board, rules, view.view, (look.satellite,))
    data = pack(Bitstream(header, coded.z_bytes, coded.y_bytes, b"", coded.y_digest))
    size = len(data) if tiles.any() else FRAME_BYTES
    image = synthesise(board.model, np.where(cells, y_hat, earlier), 0)
    alone = psnr_db(look.image, view.alone_image, look.valid)
    return size + -(-tiles.size // 8), psnr_db(look.image, image, look.valid) - alone, taken_s


def changed(image: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Which tiles of a view, uint8 [P, P, 3], differ from what the ground holds, bool [P/64, P/64]."""
    now, then = (_cells(picture) for picture in (image, held))
    flat = then.reshape(-1, then.shape[2])
    off = np.zeros(now.shape[:2])
    for band in range(now.shape[2]):
        ones = np.stack((flat[:, band], np.ones(len(flat))), axis=1)
        fit, *_ = np.linalg.lstsq(ones, now[:, :, band].reshape(-1), rcond=None)
        off = np.maximum(off, np.abs(now[:, :, band] - (ones @ fit).reshape(now.shape[:2])))
    side = TILE_PX // CELL_PX
    rows, cols = off.shape
    return off.reshape(rows // side, side, cols // side, side).max(axis=(1, 3)) > CHANGE


def _cells(picture: np.ndarray) -> np.ndarray:
    """Means of cells, rounded to the 8 bits that go up."""
    rows, cols, bands = picture.shape
    means = picture.reshape(rows // CELL_PX, CELL_PX, cols // CELL_PX, CELL_PX, bands).mean(axis=(1, 3))
    return np.rint(means)
