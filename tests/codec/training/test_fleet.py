"""Training side by side: the first transform, a step with fixed shapes, runs that fail, the fleet's time."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from codec.entropy import smooth
from codec.models.checkpoint import load_checkpoint
from codec.models.model import Widths
from codec.models.registry import build_model, names
from codec.models.shares import FLEET, Share
from codec.surroundings import RING, ring_index
from codec.training.evaluate import judged
from codec.training.fleet import keeper, plan
from codec.training.fleet.fleet import Fleet
from codec.training.fleet.gdn import use_fast_gdn
from codec.training.fleet.pieces import Kept, pack, pack_checkpoint, read_pieces, unpack, write_pieces
from codec.training.fleet.plan import Course, FleetKeys, courses
from codec.training.fleet.run import Run
from codec.training.fleet.step import (
    PART,
    Kind,
    Seen,
    Switches,
    draw_holes,
    draw_parts,
    follow_medians,
    forward_transform,
    rate_and_distortion,
)
from codec.training.fleet.tiles import TilePool
from codec.training.initialise import initialise, rescale_latents
from constellation.common.errors import UserError
from tests.codec.training.training_cases import waves

STAGES, GROUPS, M = (8, 16, 24), (8, 16, 24), 48


def small(name, seed=0):
    torch.manual_seed(seed)
    return build_model(name, 8, M, GROUPS if FLEET[name].grouped else None, STAGES)


def crops(count=2, side=128):
    return TilePool([waves()], torch.device("cpu")).crops(count, side, torch.Generator().manual_seed(2))


@pytest.fixture(params=names())
def name(request):
    return request.param


def test_the_first_transform_is_worth_something_before_any_step_and_rescaling_keeps_it(name):
    x, model = crops(), small(name)
    pixels = torch.round(x * 255).byte()
    before = judged(model, pixels, 0.013)
    initialise(model, x, 0.013)
    follow_medians(model)
    after = judged(model, pixels, 0.013)
    assert after[2] > 26 and after[0] < before[0] / 3
    with torch.no_grad():
        y = model.analysis(x)
        z = model.hyper_analysis(y)
        means, scales = smooth.parameters(model, z, y)
        picture = model.synthesis(y)
        rescale_latents(model, 1.5)
        larger = model.analysis(x)
        assert torch.allclose(larger, 1.5 * y, atol=1e-3)
        assert torch.allclose(model.hyper_analysis(larger), z, atol=1e-3)
        for now, then in zip(smooth.parameters(model, z, larger), (means, scales), strict=True):
            assert torch.allclose(now, 1.5 * then, atol=1e-3)
        assert torch.allclose(model.synthesis(larger), picture, atol=1e-3)


def test_fast_gdn_has_compressais_values_and_gradients():
    from compressai.layers import GDN

    for inverse in (False, True):
        torch.manual_seed(1)
        theirs, x = GDN(6, inverse=inverse), torch.randn(2, 6, 5, 4)
        with torch.no_grad():
            theirs.gamma += 0.2 * torch.rand(6, 6)
        results = []
        for _ in range(2):
            given = x.clone().requires_grad_()
            theirs.zero_grad()
            out = theirs(given)
            (out * torch.arange(out.numel()).reshape(out.shape).cos()).sum().backward()
            results.append((out.detach(), given.grad, theirs.gamma.grad.clone(), theirs.beta.grad.clone()))
            use_fast_gdn(theirs)
        for plain, fast in zip(*results, strict=True):
            assert torch.allclose(plain, fast, rtol=1e-4, atol=1e-4)


def test_a_step_reaches_every_weight(name):
    model, x = small(name), crops(1, 192)
    initialise(model, x, 0.013)
    switches = Switches(torch.tensor(0.013), torch.tensor(0.0), torch.tensor(0.5))
    for halo in (False, True):
        model.net.zero_grad(set_to_none=True)
        random = torch.Generator().manual_seed(1)
        seen = Seen(x, forward_transform(model.g_a, x, bf16=False))
        bpp, mse = rate_and_distortion(model, seen, switches, random, Kind(halo, bf16=False))
        (bpp + 0.013 * 255**2 * mse).backward()
        weights = [(key, p) for key, p in model.net.named_parameters() if not key.endswith("quantiles")]
        assert [key for key, p in weights if p.grad is None] == []


def test_parts_are_surrounded_as_the_ground_does_it():
    random = torch.Generator().manual_seed(4)
    parts = draw_parts(20, 16, random, torch.device("cpu"))
    for own, (row, column), fill in zip(parts.own[:, 0], parts.corner.tolist(), parts.fill, strict=True):
        alone = fill.unflatten(0, (PART + 2 * RING,) * 2)[RING:-RING, RING:-RING]
        expected = (torch.arange(row, row + PART)[:, None] * 16 + torch.arange(column, column + PART)).clone()
        assert torch.equal(alone, expected) and int(own.sum()) == PART**2 and 2 <= row <= 6
    cells = parts.fill[0]
    seen = torch.zeros(16, 16, dtype=torch.bool)
    seen.view(-1)[cells] = True  # what some cell of ring or part shows was known, and is its own nearest
    theirs = torch.from_numpy(ring_index(seen.numpy(), *parts.corner[0].tolist(), PART, PART)).flatten()
    wanted = torch.cartesian_prod(*(int(c) - RING + torch.arange(PART + 2 * RING) for c in parts.corner[0]))
    apart = [((torch.stack((index // 16, index % 16), 1) - wanted) ** 2).sum(1) for index in (cells, theirs)]
    assert torch.equal(*apart)


def test_holes_never_cover_an_image_and_come_in_the_share_that_is_asked_for():
    holes = draw_holes((200, 8, 8), torch.tensor(0.5), torch.Generator().manual_seed(4))
    assert not holes.flatten(1).all(1).any() and 0.2 < float(holes.flatten(1).any(1).float().mean()) < 0.6


def keys(**changes):
    return FleetKeys(data="x", out="y", batch=1, crop=64, n=8, m=24, widths=(4, 8, 16), **changes)


def test_steps_that_are_not_finite_change_nothing_and_lead_back():
    course = Course("bmshj", 0.013, Widths(8, 24, (4, 8, 16)), 1e-3, 1.0, 0)
    run = Run(course, TilePool([waves()], torch.device("cpu")), torch.device("cpu"), keys())
    run.start_from_pictures(crops(2, 64))
    run.advance(2, 1e-3, 0.0)
    run.keep()
    before = [p.clone() for p in run.params]
    run.switches.lambda_.fill_(float("nan"))
    run.advance(7, 1e-3, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(before, run.params, strict=True))
    assert run.figures()[3] == 7 and run.damping == 0.5


def test_a_fleet_has_a_run_of_each_family_and_lambda_that_is_asked_for_and_no_other():
    found = [course.label for course in courses(keys(models=("cheng", "bmshj")))]
    assert found == [
        "cheng_lambda0.013",
        *(f"bmshj_lambda{v}" for v in ("0.013", "0.0067", "0.025", "0.0483")),
    ]
    with pytest.raises(UserError, match="models=vae: vae unknown, there are elic"):
        courses(keys(models=("vae",)))


def test_pieces_bring_checkpoints_back_and_say_what_is_lost(tmp_path, capsys):
    content = np.random.default_rng(0).normal(size=5001).astype(np.float16).tobytes() + b"x"
    assert unpack(pack(content)) == content
    for label, seed in (("a", 1), ("b", 2)):
        model = small("mbt", seed)
        state = {
            key: value.numpy()
            for key, value in model.net.state_dict().items()
            if "bottleneck._" not in key and "gaussian" not in key
        }
        kept = Kept(label, "mbt", model.widths, 0.013, 3, {"data": "x"}, state)
        pack_checkpoint(str(tmp_path), kept, bits=9)
    total = write_pieces(str(tmp_path), str(tmp_path), 100_000)
    files = read_pieces(tmp_path)
    assert sorted(files) == ["a.safetensors", "b.safetensors"]
    assert len(list(tmp_path.glob("*.piece"))) == -(-total // 100_000)
    (tmp_path / "c.safetensors").write_bytes(files["b.safetensors"])
    assert load_checkpoint(tmp_path / "c.safetensors")[1].steps == 3
    sorted(tmp_path.glob("*.piece"))[-1].unlink()
    assert list(read_pieces(tmp_path)) == ["a.safetensors"]
    assert "b.safetensors is damaged" in capsys.readouterr().out


def test_foreign_pieces_are_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match="no pieces"):
        read_pieces(tmp_path)
    (tmp_path / "fleet.0.piece").write_bytes(b"x" * 100)
    with pytest.raises(UserError, match="no piece of a fleet"):
        read_pieces(tmp_path)


class Clock:
    """Twenty glances at it are a second, however busy the machine is."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        self.now_s += 0.05
        return self.now_s


def test_a_fleet_trains_saves_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plan, "FLEET", {"bmshj": Share((0.013, 0.0483), 1.0, 1.0, 1e-3)})
    monkeypatch.setattr(keeper, "ProcessPoolExecutor", lambda count, mp_context: ThreadPoolExecutor(count))
    for k in range(3):
        Image.fromarray(waves(200 + k)).save(tmp_path / f"{k}.png")
    out = tmp_path / "out"
    small_keys = {"batch": 1, "crop": 192, "n": 4, "m": 8, "widths": (4, 4, 8), "workers": 1, "device": "cpu"}
    wanted = FleetKeys(
        data=str(tmp_path), out=str(out), models=("bmshj",), save_s=1.0, **small_keys, minutes=0.05
    )
    Fleet(wanted, Clock()).train()
    assert sorted(read_pieces(out)) == ["bmshj_lambda0.013.safetensors", "bmshj_lambda0.0483.safetensors"]
    told = capsys.readouterr().out
    assert "failed" not in told and told.count("pieces written") >= 2
    Fleet(wanted.model_copy(update={"minutes": 0.02, "resume": str(out)}), Clock()).train()
    assert "failed" not in capsys.readouterr().out
    assert (out / "log.csv").read_text().count(",weights,") + (out / "log.csv").read_text().count(
        ",average,"
    ) >= 2


def test_students_take_their_teachers_decoder_as_it_is_and_keep_only_an_encoder(
    tmp_path, monkeypatch, capsys
):
    shares = {
        "elic": Share((0.013,), 1.0, 1.0, 1e-3, grouped=True),
        "rsllic": Share((0.013,), 0.0, 1.0, 1e-3, grouped=True, teacher="elic"),
    }
    monkeypatch.setattr(plan, "FLEET", shares)
    monkeypatch.setattr(keeper, "ProcessPoolExecutor", lambda count, mp_context: ThreadPoolExecutor(count))
    Image.fromarray(waves(200)).save(tmp_path / "a.png")
    shape = {"n": 4, "m": 24, "widths": (8, 8, 16), "groups": (8, 16), "models": tuple(shares)}
    wanted = FleetKeys(
        data=str(tmp_path), out=str(tmp_path / "out"), batch=1, crop=192, workers=1, device="cpu", **shape
    )
    fleet = Fleet(wanted.model_copy(update={"minutes": 0.045}), Clock())
    fleet.train()
    assert "failed" not in capsys.readouterr().out
    teacher = fleet.by_label["elic_lambda0.013"].model.net.state_dict()
    for name in ("rsllic",):
        run = fleet.by_label[f"{name}_lambda0.013"]
        mine = run.model.net.state_dict()
        theirs = [key for key in mine if not key.startswith("g_a.")]
        assert all(torch.equal(mine[key], teacher[key]) for key in theirs) and run.steps > 3
        kept = read_pieces(tmp_path / "out")[f"{name}_lambda0.013.safetensors"]
        (tmp_path / "one.safetensors").write_bytes(kept)
        with safe_open(tmp_path / "one.safetensors", "pt") as file:
            assert all(key.startswith("g_a.") and ".norm." not in key for key in file.keys())  # noqa: SIM118


def test_the_rate_is_taken_at_rounded_latents_only_where_that_is_asked_for(tmp_path):
    assert keys().rounded_from == 1.0
    fleet = Fleet.__new__(Fleet)
    for given, expected in ((1.0, False), (0.6, True)):
        fleet.keys, seen = keys(rounded_from=given), []
        run = SimpleNamespace(
            failed="",
            average=[],
            phase=(),
            course=Course("bmshj", 0.013, Widths(8, 24, (4, 8, 16)), 1e-3, 1.0, 0),
            set_switches=lambda rounded, *_, seen=seen: seen.append(rounded),
        )
        fleet._phase([run], 0.99)
        assert seen == [expected]
