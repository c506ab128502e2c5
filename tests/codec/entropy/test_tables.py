"""Integer tables: what is shipped is what the script builds, and what they cost."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from codec.entropy.tables import (
    PRECISION,
    bottleneck_tables,
    build_gaussian_tables,
    code_lengths,
    gaussian_tables,
)
from tests.codec.entropy.entropy_cases import small_model


def test_the_shipped_tables_are_what_the_script_builds():
    built, shipped = build_gaussian_tables(), gaussian_tables()
    for name in ("cdf", "offset", "size", "first"):
        assert np.array_equal(built[name], getattr(shipped.code, name)), name
    assert np.array_equal(built["base"], shipped.base) and np.array_equal(built["steps"], shipped.steps)
    assert np.array_equal(built["scales"] / 2**20, shipped.scales) and np.array_equal(
        built["thresholds"] / 2**20, shipped.thresholds
    )


def test_scales_are_compressai_s_grid():
    assert len(gaussian_tables().scales) == 64
    assert np.allclose(
        np.log(gaussian_tables().scales), np.linspace(np.log(0.11), np.log(256), 64), atol=1e-5
    )


def test_tables_cost_at_most_two_thousandths_more_than_the_ideal_gaussian():
    rng = np.random.default_rng(0)
    mean, scale = rng.uniform(-20, 20, 200_000), np.exp(rng.uniform(np.log(0.11), np.log(60), 200_000))
    y = np.rint(mean + scale * rng.standard_normal(200_000))
    table, centre = gaussian_tables().index(np.stack((scale, mean), axis=1))
    distance = np.abs(y - mean)
    ideal = -np.log2(norm.cdf((0.5 - distance) / scale) - norm.cdf((-0.5 - distance) / scale))
    spent = code_lengths(y.astype(int) - centre[:, 0], table[:, 0], gaussian_tables().code)
    assert 1 - 1e-3 < spent.sum() / ideal.sum() < 1.002


def test_index_takes_the_nearest_scale_and_rounds_the_mean():
    tables = gaussian_tables()
    index, centre = tables.index(np.array([[0.01, 1.0, 1e9, 1.0, 2.25, -2.25, 0.5, -0.01]]))
    assert centre.tolist() == [
        [2, -3, 1, 0]
    ]  # rounded to the fraction's grid: 2 + 32/128, -3 + 96/128, 1 + 0/1, 0 + 0/8
    scale = np.searchsorted(tables.base, index[0], side="right") - 1
    assert scale[0] == 0 and scale[2] == 63 and abs(np.log(tables.scales[scale[1]])) < 0.07


def test_index_survives_any_number():
    odd = np.array([[np.nan, np.inf, -np.inf, 0.0, np.nan, np.inf, -np.inf, 1e300]])
    index, centre = gaussian_tables().index(odd)
    assert index.min() >= 0 and index.max() < gaussian_tables().code.count and abs(centre).max() <= 32000


def test_equal_distance_from_both_sides_goes_one_way_only():
    tables = gaussian_tables()
    edge = tables.thresholds[10]
    (below, above), _ = (
        part[:, 0] for part in tables.index(np.array([[edge, 0.0], [np.nextafter(edge, 9), 0.0]]))
    )
    assert below == tables.base[10] and above == tables.base[11]


def test_bottleneck_tables_are_the_checkpoint_s_own():
    bottleneck = small_model("bmshj").bottleneck
    code = bottleneck_tables(bottleneck)
    row = bottleneck._quantized_cdf[5, : bottleneck._cdf_length[5]].tolist()
    assert code.cdf[code.offset[5] : code.offset[5] + code.size[5] + 2].tolist() == row
    assert code.first[5] == bottleneck._offset[5]


def test_a_bottleneck_without_tables_is_refused():
    from compressai.entropy_models import EntropyBottleneck

    with pytest.raises(ValueError, match="update"):
        bottleneck_tables(EntropyBottleneck(4))
    broken = EntropyBottleneck(4)
    broken.update()
    broken._quantized_cdf[0, 2] = torch.tensor(0)
    with pytest.raises(ValueError, match="rise strictly"):
        bottleneck_tables(broken)


def test_code_lengths_are_those_of_the_shares_and_of_escapes():
    code = gaussian_tables().code
    rng = np.random.default_rng(5)
    tables = rng.integers(code.count, size=(40, 6)).astype(np.int32)
    symbols = code.first[tables] + rng.integers(-9, code.size[tables] + 9)
    index = symbols - code.first[tables]
    size = code.size[tables].astype(np.int64)
    outside = (index < 0) | (index >= size)
    assert outside.any() and not outside.all()
    at = code.offset[tables] + np.where(outside, size, index)
    bits = PRECISION - np.log2(code.cdf[at + 1].astype(np.float64) - code.cdf[at])
    excess = np.maximum(1, np.where(index < 0, -index, index - size + 1))
    expected = bits + np.where(outside, 6 + np.floor(np.log2(excess)), 0.0)
    assert np.array_equal(code_lengths(symbols, tables, code), expected)
