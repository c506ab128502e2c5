"""Recognizer: signatures that only depend on the vector, the seed and k."""

import numpy as np
import pytest

from nodes.recognizer import content_hashes, hash_family, signatures

C, H, W = 24, 6, 5


def latents(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).laplace(scale=3, size=(C, H, W)).astype(np.float32)


@pytest.mark.parametrize("rotation", ["hadamard", "dense"])
def test_equal_vectors_get_equal_signatures_wherever_they_stand(rotation):
    y = latents()
    moved = np.roll(y, (2, 1), axis=(1, 2))
    family = hash_family(7, C, 20, rotation)
    left, right = signatures(y, family).reshape(H, W), signatures(moved, family).reshape(H, W)
    assert np.array_equal(np.roll(left, (2, 1), axis=(0, 1)), right)


@pytest.mark.parametrize("rotation", ["hadamard", "dense"])
def test_unrelated_vectors_get_distinct_signatures(rotation):
    assert len(np.unique(signatures(latents(), hash_family(7, C, 20, rotation)))) == H * W


def test_the_hash_family_depends_on_the_seed_and_on_nothing_else():
    y = latents()
    first, again, other = (signatures(y, hash_family(seed, C, 20)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.any(first == other)


def test_more_rounds_split_clusters_and_never_join_them():
    """h_1 .. h_k are the same codes for every k of one family's prefix, so vectors that differ at k still
    differ at k + 1."""
    y = latents()
    y[:, 1, 1] = y[:, 0, 0] * 1.05 + 0.2
    counts = [len(np.unique(signatures(y, hash_family(3, C, k, magnitude=False)))) for k in (1, 2, 4, 8, 20)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_close_vectors_collide_far_more_often_than_distant_ones():
    rng = np.random.default_rng(0)
    y = rng.laplace(scale=3, size=(C, 32, 32)).astype(np.float32)
    family = hash_family(0, C, 8, magnitude=False)
    base = signatures(y, family)
    shares = [
        float((signatures(y + rng.normal(scale=s, size=y.shape).astype(np.float32), family) == base).mean())
        for s in (0.01, 0.3, 3.0)
    ]
    assert shares[0] > 0.9 and shares[0] > shares[1] > shares[2] and shares[2] < 0.1


def test_hadamard_and_dense_rotations_collide_at_similar_rates():
    rng = np.random.default_rng(1)
    y = rng.laplace(scale=3, size=(C, 32, 32)).astype(np.float32)
    close = y + rng.normal(scale=0.1, size=y.shape).astype(np.float32)
    rates = []
    for rotation in ("hadamard", "dense"):
        family = hash_family(5, C, 8, rotation, magnitude=False)
        rates.append(float((signatures(y, family) == signatures(close, family)).mean()))
    assert abs(rates[0] - rates[1]) < 0.1


def test_content_hashes_are_equal_exactly_where_integer_vectors_are():
    y_hat = (
        np.random.default_rng(0).integers(-1, 2, size=(3, 10, 10)).astype(np.int32)
    )  # 27 distinct vectors at most
    hashes = content_hashes(y_hat)
    vectors = y_hat.reshape(3, -1).T
    for p in range(0, 100, 7):
        assert np.array_equal(hashes == hashes[p], (vectors == vectors[p]).all(axis=1))


def test_a_zero_vector_and_the_largest_values_are_hashed_without_overflow():
    y = np.zeros((C, 2, 2), dtype=np.float32)
    y[:, 0, 1] = 1e9
    y[:, 1, 0] = -1e9
    found = signatures(y, hash_family(0, C, 20))
    assert len(np.unique(found)) == 3


def test_vectors_of_one_direction_and_two_lengths_are_told_apart_unless_the_papers_signature_is_asked_for():
    y = latents()
    longer = y * np.float32(1.5)
    with_length, paper = hash_family(1, C, 20), hash_family(1, C, 20, magnitude=False)
    assert not np.any(signatures(y, with_length) == signatures(longer, with_length))
    assert np.mean(signatures(y, paper) == signatures(longer, paper)) > 0.9
