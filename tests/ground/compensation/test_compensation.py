"""Compensation: what it makes stands beside the exact product, marked, and changes nothing of it."""

import numpy as np
import pytest
import torch
from PIL import Image

from codec.models import registry
from codec.models.checkpoint import load_checkpoint, save_checkpoint
from codec.models.model import Widths
from constellation.common.errors import UserError
from constellation.scenario.load import load_scenario
from constellation.scenario.network import GroundKnobs
from ground.compensation.apply import Compensator, compensator_of, metadata_of
from ground.compensation.diffusion import noise_for, noised, sampled
from ground.compensation.files import load_net, save_net
from ground.compensation.knobs import CompensationKnobs
from ground.compensation.nets import METADATA, RESIDUAL, Denoiser, Shape, net_of
from ground.compensation.trainer import Trainer, gsd_by_name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two pictures, and a small codec."""
    path, random = tmp_path_factory.mktemp("compensation"), np.random.default_rng(0)
    for k in range(2):
        rough = Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        rough.resize((96, 96), Image.Resampling.BICUBIC).save(path / f"{k}.png")
    torch.manual_seed(0)
    save_checkpoint(path / "codec.safetensors", registry.build("bmshj", Widths(4, 8, (4, 4, 4))), 0.013, 1)
    (path / "metadata.csv").write_text("path,gsd_m\ntrain/0.png,0.5\ntrain/1.png,\n")
    return path


def keys(folder, out, kind, **more):
    given = {"codec": str(folder / "codec.safetensors"), "data": str(folder), "out": str(out), "crop": 64}
    return CompensationKnobs(kind=kind, channels=8, layers=3, batch=2, threads=1, **{**given, **more})


@pytest.fixture(scope="module", params=["regressor", "diffusion"])
def trained(folder, tmp_path_factory, request):
    """A net after three steps: (kind, its file)."""
    out = tmp_path_factory.mktemp("net") / "net.safetensors"
    told = str(folder / "metadata.csv") if request.param == "diffusion" else ""
    Trainer(keys(folder, out, request.param, steps=3, metadata=told)).run()
    return request.param, out


def test_a_run_that_was_cut_goes_on_to_the_bit(folder, tmp_path, trained):
    kind, whole = trained
    told = str(folder / "metadata.csv") if kind == "diffusion" else ""
    cut = Trainer(keys(folder, tmp_path / "cut.safetensors", kind, steps=3, metadata=told))
    cut.started = 0.0
    cut._train_step(0.0)
    cut.save()
    again = Trainer(keys(folder, tmp_path / "cut.safetensors", kind, steps=3, metadata=told, resume=True))
    assert again.step == 1
    again.run()
    assert (tmp_path / "cut.safetensors").read_bytes() == whole.read_bytes()
    with pytest.raises(UserError, match=r"lr=0\.5: the run in"):
        Trainer(keys(folder, tmp_path / "cut.safetensors", kind, steps=3, lr=0.5, resume=True))


def test_the_same_seed_makes_the_same_picture_for_any_threads_and_any_size(folder, trained):
    kind, path = trained
    net = load_net(path, load_checkpoint(folder / "codec.safetensors")[1], kind)
    picture = np.random.default_rng(1).integers(0, 256, (33, 50, 3), dtype=np.uint8)
    before, made = torch.get_num_threads(), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        made.append(Compensator(net, seed=5, steps=2).picture(picture, metadata_of(0.5, 40.0, 10.0)))
    torch.set_num_threads(before)
    assert made[0].shape == picture.shape and made[0].dtype == np.uint8
    assert np.array_equal(*made)
    if kind == "diffusion":
        assert not np.array_equal(made[0], Compensator(net, seed=6, steps=2).picture(picture))


def test_a_fresh_net_leaves_a_picture_as_it_is_and_a_regressor_learns_a_known_fault():
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    net = net_of(Shape("regressor", 8, 3))
    assert not net(x).abs().any()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    fault = 0.02 * (x.mean(1, keepdim=True) - 0.5) + 0.01  # of every sample, from what is around it
    for _ in range(120):
        loss = (net(x) - fault / RESIDUAL).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.05 * float((fault / RESIDUAL).square().mean())


def test_a_diffusion_draws_what_its_denoiser_knows():
    """Were the clean residual known at every level, any number of steps would end at it."""
    clean = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    class Knowing(Denoiser):
        def denoise(self, noisy, decoded, level, metadata):
            return clean

    noise, net = noise_for(np.zeros((8, 8, 3), np.uint8), 0), Knowing(Shape("diffusion", 4, 3))
    for steps in (1, 4):
        found = sampled(net, torch.zeros(1, 3, 8, 8), torch.zeros(1, METADATA), noise, steps)
        assert torch.allclose(found, clean, atol=1e-5)
    assert torch.allclose(noised(clean, noise, torch.zeros(1)), clean, atol=1e-6)


def test_metadata_that_are_not_known_are_zeros():
    assert not metadata_of(None).any()
    assert metadata_of(1.0, None, 45.0).tolist() == [0, 1, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda file, codec, net: file.write_bytes(b"x" * 99), "not a readable safetensors file"),
        (lambda file, codec, net: file.unlink(), "no such file"),
        (
            lambda file, codec, net: save_net(file, net, type(codec)(**{**vars(codec), "sha256": "ab"}), {}),
            "was trained for bmshj at lambda 0.013 (ab), the decoder is",
        ),
        (
            lambda file, codec, net: save_net(file, net_of(Shape("diffusion", 8, 3)), codec, {}),
            "holds a diffusion, ground.compensation asks for regressor",
        ),
        (
            lambda file, codec, net: file.write_bytes(
                file.read_bytes().replace(b'"channels":"8"', b'"channels":"9"')
            ),
            "layers.0.bias does not fit the regressor",
        ),
        (
            lambda file, codec, net: file.write_bytes(
                file.read_bytes().replace(b'"channels":"8"', b'"channels":"-"')
            ),
            "expected two numbers",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(folder, tmp_path, change, told):
    codec, file = load_checkpoint(folder / "codec.safetensors")[1], tmp_path / "net.safetensors"
    net = net_of(Shape("regressor", 8, 3))
    save_net(file, net, codec, {})
    change(file, codec, net)
    asked = GroundKnobs(compensation="regressor", compensation_weights=str(file))
    with pytest.raises(UserError) as caught:
        compensator_of(asked, 0, codec)
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_where_no_weights_ship_a_line_says_what_to_do(folder):
    codec = load_checkpoint(folder / "codec.safetensors")[1]
    strange = type(codec)(**{**vars(codec), "lambda_": 0.5})
    assert compensator_of(GroundKnobs(), 0, strange) is None
    with pytest.raises(UserError, match=r"no weights ship for bmshj at lambda 0\.5"):
        compensator_of(GroundKnobs(compensation="diffusion"), 0, strange)


@pytest.mark.parametrize("text", ["", "path\na.png\n", "path,gsd_m\na.png,far\n"])
def test_metadata_that_are_no_table_are_refused(tmp_path, text):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(UserError, match="metadata="):
        gsd_by_name(str(tmp_path / "m.csv"))


def test_a_run_without_compensation_keeps_its_digest_and_says_nothing_of_it():
    plain = load_scenario("smoke", [])
    asked = load_scenario("smoke", ["ground.compensation=none", "ground.compensation_steps=8"])
    assert plain.digest == asked.digest
    assert plain.digest != load_scenario("smoke", ["ground.compensation=regressor"]).digest
