"""Cells without data, from the file to the record: zero on board, and counted nowhere."""

import numpy as np
import pytest
import rasterio

from codec.imagery.procedural import render
from constellation.scenario.load import load_scenario
from dlrc.local import fly, sides_of
from ground.metrics import quality

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
HIDDEN = (np.add.outer(np.arange(320), np.arange(320)) % 160) < 70
PICTURE = np.clip(render(3, 0, 0, 320, 320), 1, 254)  # neither of the two values that stand for no data


def flown(folder, nodata, picture=PICTURE):
    folder.mkdir()
    path = folder / "scene.tif"  # a stream says of which scene it is, by its file's name
    samples = np.where(HIDDEN[:, :, None], nodata, picture).astype(np.uint8).transpose(2, 0, 1)
    shape = {"height": 320, "width": 320, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", nodata=nodata, **shape) as dataset:
        dataset.write(samples)
    words = [f"scene.path={path}", "satellites=3", "capture.patch_px=256", "capture.window_px=320"]
    return fly(sides_of(load_scenario("dense", [*words, "codec.device=cpu"])), 0)


def test_what_stands_for_no_data_changes_no_byte_and_is_counted_nowhere(tmp_path):
    bright, dark = flown(tmp_path / "bright", 255), flown(tmp_path / "dark", 0)
    streams = [[product.stream for product in flight.flown.products.values()] for flight in (bright, dark)]
    assert streams[0] == streams[1]
    for record in bright.landed.record.satellites:
        witness = bright.landed.arrived.witness[record.satellite]
        assert record.hidden == (~witness.valid).sum() > 5000 and record.pixels == witness.valid.sum()
        assert (witness.original[~witness.valid] == 0).all()
        image = bright.landed.images[record.satellite]
        assert record.quality_dlrc == quality(witness.original, image, witness.valid)
