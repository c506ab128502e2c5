"""Selector: clusters, representatives and their order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.selector import select
from tests.codec.maps.map_cases import ranks

H, W, C = 4, 6, 3
labels = st.lists(st.integers(0, 5), min_size=H * W, max_size=H * W).map(
    lambda v: np.array(v, dtype=np.int64)
)


def latents(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=4, size=(C, H, W)).astype(np.float32)


@given(labels, st.sampled_from(["raster", "checkerboard"]), st.sampled_from(["original", "mean"]))
def test_every_position_belongs_to_the_cluster_of_its_signature(signatures, order, representative):
    chosen = select(latents(), signatures, ranks(H, W, order), representative)
    assert np.array_equal(chosen.signatures[chosen.entry_of], signatures)
    assert len(np.unique(chosen.signatures)) == len(chosen.signatures)


@given(labels, st.sampled_from(["raster", "checkerboard"]))
def test_the_representative_is_the_first_of_its_cluster_in_coding_order(signatures, order):
    chosen = select(latents(), signatures, ranks(H, W, order))
    rank = ranks(H, W, order).reshape(-1)
    for entry, position in enumerate(chosen.positions):
        members = np.flatnonzero(signatures == chosen.signatures[entry])
        assert position == members[rank[members].argmin()]


@given(labels)
def test_the_list_is_sorted_by_raster_position(signatures):
    assert np.all(np.diff(select(latents(), signatures, ranks(H, W, "checkerboard")).positions) > 0)


@given(labels)
def test_original_representatives_are_coded_as_they_were_captured(signatures):
    y = latents()
    chosen = select(y, signatures, ranks(H, W), "original")
    expected = np.rint(y).reshape(C, -1)[:, chosen.positions[chosen.entry_of]]
    assert np.array_equal(chosen.y_hat.reshape(C, -1), expected)
    assert np.array_equal(chosen.y, y)


@given(labels)
def test_mean_representatives_are_the_mean_of_their_cluster(signatures):
    y = latents()
    chosen = select(y, signatures, ranks(H, W), "mean")
    flat = y.reshape(C, -1).astype(np.float64)
    for position in range(H * W):
        mean = flat[:, signatures == signatures[position]].mean(axis=1)
        np.testing.assert_allclose(chosen.y.reshape(C, -1)[:, position], mean, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("representative", ["original", "mean"])
def test_without_equal_signatures_nothing_changes(representative):
    y = latents()
    chosen = select(y, np.arange(H * W), ranks(H, W), representative)
    assert np.array_equal(chosen.y, y)
    assert np.array_equal(chosen.y_hat, np.rint(y))
