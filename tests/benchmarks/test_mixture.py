"""The estimate of what a mixture of Gaussians would save."""

import pytest
import torch

from benchmarks.priors.mixture import _classes, _Mixture
from codec.entropy.smooth import gaussian_likelihood


def drawn(spread):
    """Integers around a mean of 0.3: half of them narrow, half of them wide by `spread`."""
    random = torch.Generator().manual_seed(0)
    wide = torch.rand((2, 2000, 1), generator=random) < 0.5
    values = torch.randn((2, 2000, 1), generator=random) * torch.where(wide, 2.0 * spread, 2.0)
    residual = torch.round(values + 0.3) - 0.3
    return residual, torch.full_like(residual, float(values.square().mean().sqrt()))


def bits(residual, scale, components):
    classes = torch.zeros(residual.shape, dtype=torch.int64)
    mixture = _Mixture(1, components)
    if components > 1:
        mixture.train(residual[1:], scale[1:], classes[1:], 80)
    return float(mixture.bits(residual[:1], scale[:1], classes[:1]).mean())


def test_one_gaussian_is_the_likelihood_that_codecs_have():
    residual, scale = drawn(1.0)
    told = -torch.log2(gaussian_likelihood(residual[:1], torch.zeros_like(residual[:1]), scale[:1])).mean()
    assert bits(residual, scale, 1) == pytest.approx(float(told), rel=1e-4)


def test_a_mixture_saves_where_there_is_one_and_nothing_where_there_is_none():
    heavy, plain = drawn(6.0), drawn(1.0)
    assert bits(*heavy, 3) < 0.97 * bits(*heavy, 1)
    assert bits(*plain, 3) == pytest.approx(bits(*plain, 1), rel=0.01)


def test_classes_of_scales_span_them():
    scale = torch.tensor([[[0.11, 1.0, 100.0]]])
    assert _classes(scale, "scale").flatten().tolist()[::2] == [0, 15]
    assert _classes(scale, "channel").flatten().tolist() == [0, 1, 2]
