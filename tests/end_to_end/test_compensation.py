"""A run whose ground makes generated pictures: they stand beside the exact product, which does not change."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import dlrc
from codec.models.checkpoint import load_weights
from constellation.common.cli import read
from constellation.common.errors import UserError
from dlrc.report import table
from dlrc.report.page.contents import contents
from dlrc.report.page.pictures import PictureBook
from dlrc.report.tables import tables
from dlrc.store.manifest import verify
from ground.compensation.files import save_net
from ground.compensation.nets import Shape, net_of
from ground.files import COMMAND, turn

SMALL = {"satellites": 2, "rounds": 1, "capture.patch_px": 128, "capture.window_px": 192}
SMALL |= {"scene.size_px": 256}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A net that adds a little everywhere, for the codec of the runs."""
    path = tmp_path_factory.mktemp("net") / "net.safetensors"
    net = net_of(Shape("regressor", 4, 3))
    torch.nn.init.constant_(net.layers[-1].bias, 0.5)
    save_net(path, net, load_weights("", "bmshj", 0.013)[1], {})
    return str(path)


def files_of(run, kind):
    return {path.name: path.read_bytes() for path in run.gallery.folder.glob(f"rounds/000/*{kind}")}


def test_generated_pictures_stand_beside_the_exact_product(weights, tmp_path):
    plain = dlrc.run("smoke", output=str(tmp_path), **SMALL)
    knobs = {"ground.compensation": "regressor", "ground.compensation_weights": weights}
    made = dlrc.run("smoke", output=str(tmp_path), **SMALL, **knobs)
    assert plain.gallery.folder != made.gallery.folder
    for kind in (".bin", "captured.png", "dlrc.png", "independent.png"):
        assert files_of(plain, kind) == files_of(made, kind)
    assert not files_of(plain, "generated.png") and len(files_of(made, "generated.png")) == 2
    # its record says nothing more than the other's, and in a place of its own
    (before,), (after,) = files_of(plain, "record.json").values(), files_of(made, "record.json").values()
    assert b"generated" not in before
    told = json.loads(after)
    assert [one["kind"] for one in told.pop("generated")] == ["regressor"] * 2
    assert told == json.loads(before)
    assert plain.summary.quality == made.summary.quality
    # whoever opens a picture, a table or a page is told
    path = next(made.gallery.folder.glob("rounds/000/*_generated.png"))
    with Image.open(path) as picture:
        assert picture.text["generated"] == "true" and "none of it was sent" in picture.text["Comment"]
    exact = path.with_name(path.name.replace("generated", "dlrc"))
    decoded = np.asarray(Image.open(exact)).astype(int)
    assert 0 < (np.asarray(Image.open(path)).astype(int) - decoded).mean() < 6
    words = "no part of the product"
    assert words in table(made) and words not in table(plain)
    assert len(tables(made)["generated"]["change_db"]) == 2 and "generated" not in tables(plain)
    page = contents(made, PictureBook())
    assert "by regressor" in page["generated"]
    assert page["rounds"][0]["views"][0]["pictures"]["kinds"][-1] == "generated"
    assert "generated" not in contents(plain, PictureBook())
    assert verify(made.gallery.folder) == []
    check_decode(made, weights, tmp_path / "decoded")


def check_decode(run, weights, out):
    """`dlrc decode` makes the same pictures, beside the decoded ones."""
    streams = sorted(run.gallery.folder.glob("rounds/000/*_dlrc.bin"))
    words = [f"streams={','.join(map(str, streams))}", f"out={out}", "compensation=regressor"]
    turn(read(COMMAND, [*words, f"compensation_weights={weights}"]))
    names = sorted(path.name for path in out.iterdir())
    assert [name.partition(".")[2] for name in names] == ["generated.png", "png"] * 2
    for name in names:
        kept = run.gallery.folder / "rounds" / "000" / name.replace("_dlrc.generated", "_generated")
        assert np.array_equal(np.asarray(Image.open(out / name)), np.asarray(Image.open(kept)))


def test_weights_of_another_codec_end_a_run_before_it_begins(weights, tmp_path):
    with pytest.raises(UserError, match="was trained for bmshj"):
        dlrc.run(
            "smoke",
            output=str(tmp_path),
            **SMALL,
            **{
                "ground.compensation": "regressor",
                "ground.compensation_weights": weights,
                "codec.lambda": 0.025,
            },
        )
    assert not list(tmp_path.iterdir())
