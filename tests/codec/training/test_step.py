"""The loss of one training step: rate, missing context, halos, learning rate."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.models.registry import build_model
from codec.surroundings import RING
from codec.training.evaluate import rate_and_error
from codec.training.step import (
    Batch,
    RateDistortion,
    StepKnobs,
    halo_views,
    learning_rate,
    missing_positions,
    straight_through_round,
)


def test_a_part_that_saw_its_surroundings_is_coded_and_judged_alone():
    random = torch.Generator().manual_seed(3)
    views = halo_views(4, 16, random, torch.device("cpu"))
    y = torch.arange(4 * 2 * 256, dtype=torch.float32).reshape(4, 2, 16, 16).requires_grad_()
    given = views.surrounded(y)
    inner = slice(RING, RING + views.side)
    assert torch.equal(given[..., inner, inner], views.cut(y)) and views.side in (8, 12)
    given.sum().backward()
    own = torch.zeros_like(y)
    for image, (row, col) in zip(own, views.corners, strict=True):
        assert 2 <= row <= 14 - views.side and 2 <= col <= 14 - views.side
        image[:, row : row + views.side, col : col + views.side] = 1
    assert ((y.grad > 0) == (own > 0)).all()  # what others sent is not ours to change


@given(st.integers(0, 10**6), st.sampled_from([12, 16, 20]))
@settings(max_examples=40, deadline=None)
def test_a_ring_never_holds_latents_that_bear_the_mark_of_the_crops_border(seed, side):
    views = halo_views(2, side, torch.Generator().manual_seed(seed), torch.device("cpu"))
    rows, cols = views.fill // side, views.fill % side
    assert rows.min() >= 2 and cols.min() >= 2 and rows.max() < side - 2 and cols.max() < side - 2


def step(**changes):
    return StepKnobs(**{"lambda_": 0.013, "grid": "fixed", "rounded_rate": True, "bf16": False, **changes})


def test_on_the_fixed_grid_the_training_rate_is_the_rate_that_evaluation_reports():
    torch.manual_seed(0)
    model = build_model("mbt", 8, 12)
    x = torch.rand(1, 3, 64, 64)
    result = RateDistortion(model)(Batch(x, torch.Generator().manual_seed(0)), step())
    with torch.no_grad():
        y = model.analysis(x)
        noisy_z = -torch.log2(model.bottleneck(model.hyper_analysis(y), training=True)[1]).sum() / 64**2
        exact_z = -torch.log2(model.bottleneck(model.hyper_analysis(y), training=False)[1]).sum() / 64**2
    assert (
        abs(float(result["bpp"]) - float(rate_and_error(model, x)[0, 0]))
        <= abs(float(noisy_z - exact_z)) + 0.02
    )


@pytest.mark.parametrize("name", ["bmshj", "mbt", "cheng", "elic"])
@pytest.mark.parametrize("grid", ["fixed", "centred"])
def test_every_parameter_learns(name, grid):
    model = build_model(name, 8, 8 if name == "cheng" else 24)
    missing = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    missing[..., :2, :2] = True
    batch = Batch(torch.rand(1, 3, 64, 64), torch.Generator().manual_seed(0), missing)
    result = RateDistortion(model)(batch, step(grid=grid, rounded_rate=False))
    result["loss"].backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in model.net.parameters())


def test_missing_vectors_are_neither_context_nor_rate():
    torch.manual_seed(0)
    model = build_model("mbt", 8, 12)
    seen = []
    model.heads[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x, random = torch.rand(1, 3, 64, 64), torch.Generator().manual_seed(0)
    all_but_one = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    all_but_one[..., 0, 0] = False
    RateDistortion(model)(Batch(x, random, all_but_one), step())
    bias = model.passes[0].window.bias.reshape(1, -1, 1, 1)
    assert torch.allclose(
        seen[0][:, 24:, 3:, 3:], bias.expand(1, -1, 1, 1), atol=1e-6
    )  # out of reach of the one known vector


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), height=st.integers(1, 20), width=st.integers(2, 20))
def test_no_image_loses_all_of_its_context(seed, height, width):
    missing = missing_positions(3, height, width, torch.Generator().manual_seed(seed))
    assert missing.shape == (3, 1, height, width) and not missing.flatten(1).all(1).any()


def test_straight_through_rounding_rounds_and_passes_the_gradient():
    values = torch.tensor([0.4, 1.6, -2.5], requires_grad=True)
    straight_through_round(values).sum().backward()
    assert straight_through_round(values).tolist() == [0, 2, -2] and values.grad.tolist() == [1, 1, 1]


@given(progress=st.floats(0, 1), decay=st.floats(0, 1))
def test_the_learning_rate_stays_between_its_ends_and_is_constant_without_decay(progress, decay):
    assert 1e-5 - 1e-12 <= learning_rate(1e-4, 1e-5, decay, progress) <= 1e-4
    assert learning_rate(1e-4, 1e-5, 0.0, progress) == 1e-4
    assert learning_rate(1e-4, 1e-5, 0.5, 1.0) == pytest.approx(1e-5)
