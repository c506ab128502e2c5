"""Streams coded in the light of a prediction: exact at both ends, plain where nothing is predicted."""

import dataclasses
import functools

import numpy as np
import pytest
import torch

from codec.entropy.decoder import DecodedLatents, StreamItem, decode
from codec.entropy.encoder import encode
from codec.entropy.estimate import predicted_bits
from codec.prediction.exact import ExactFusion
from codec.prediction.fusion import Fusion
from codec.prediction.values import Prediction
from tests.codec.entropy.entropy_cases import FAMILIES, kept_everywhere, small_coder, small_model

SIDE = 8
POSITIONS = SIDE * SIDE


@functools.cache
def fusion_of(name):
    """Random weights, in the last layers too."""
    torch.manual_seed(5)
    fusion = Fusion(small_model(name), hidden=24)
    for head in fusion.heads:
        last = list(head.children())[-1]
        for parameter in last.parameters():
            parameter.data = 0.05 * torch.randn_like(parameter)
    return fusion.eval().requires_grad_(False)


def case(name, seed=0, backend="auto"):
    """(z, y_hat, a prediction that is near y_hat)."""
    model, rng = small_model(name), np.random.default_rng(seed)
    y_hat = np.rint(rng.standard_normal((model.m, SIDE, SIDE)) * 4).astype(np.int32)
    z = np.rint(rng.standard_normal((model.n, SIDE // 4, SIDE // 4)) * 3).astype(np.int32)
    y = y_hat.reshape(model.m, -1).T + 0.4 * rng.standard_normal((POSITIONS, model.m))
    levels = np.kron(rng.integers(0, 4, (SIDE // 2, SIDE // 2)), np.ones((2, 2))).astype(np.uint8)
    planes = rng.random((POSITIONS, 3))
    fusion = ExactFusion(fusion_of(name), backend)
    hyper = rng.random((SIDE // 4) ** 2) < rng.choice((0.0, 0.5, 1.0))
    return z, y_hat, Prediction(y, planes, levels.reshape(-1), hyper, fusion)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_predicted_stream_decodes_exactly_by_the_other_back_end_in_a_batch(name):
    known, items, expected = kept_everywhere(SIDE, SIDE), [], []
    for seed in range(4):
        z, y_hat, prediction = case(name, seed, "int8")
        other = dataclasses.replace(prediction, fusion=ExactFusion(fusion_of(name), "float64"))
        given, read = (None, None) if seed == 1 else (prediction, other)
        coded = encode(small_coder(name), z, y_hat, known, given)
        items.append(StreamItem(coded.z_bytes, coded.y_bytes, known, coded.y_digest, prediction=read))
        expected.append(y_hat)
    for number, (result, y_hat) in enumerate(zip(decode(small_coder(name), items), expected, strict=True)):
        assert isinstance(result, DecodedLatents)
        np.testing.assert_array_equal(result.y_context, y_hat)
        alone = decode(small_coder(name, backend="float64"), items[number : number + 1])[0]
        assert isinstance(alone, DecodedLatents)
        np.testing.assert_array_equal(alone.y_context, y_hat)


def test_hyper_latents_that_are_not_sent_take_no_bytes_and_are_zero_at_the_decoder():
    z, y_hat, prediction = case("bmshj")
    known, coder = kept_everywhere(SIDE, SIDE), small_coder("bmshj")
    none = dataclasses.replace(prediction, hyper=np.zeros_like(prediction.hyper))
    coded = encode(coder, z, y_hat, known, none)
    item = StreamItem(coded.z_bytes, coded.y_bytes, known, coded.y_digest, prediction=none)
    (result,) = decode(coder, [item])
    assert isinstance(result, DecodedLatents)
    assert not result.z_symbols.any() and np.array_equal(result.y_context, y_hat)
    assert len(coded.z_bytes) < len(encode(coder, z, y_hat, known).z_bytes) / 2


@pytest.mark.parametrize("name", FAMILIES)
def test_a_prediction_without_levels_gives_the_plain_stream(name):
    z, y_hat, prediction = case(name)
    everything = np.ones_like(prediction.hyper)
    plain = dataclasses.replace(prediction, levels=np.zeros(POSITIONS, np.uint8), hyper=everything)
    known = kept_everywhere(SIDE, SIDE)
    coded, alone = (encode(small_coder(name), z, y_hat, known, given) for given in (plain, None))
    assert (coded.y_bytes, coded.y_digest) == (alone.y_bytes, alone.y_digest)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_estimate_is_what_the_coder_spends(name):
    z, y_hat, prediction = case(name)
    coded = encode(small_coder(name), z, y_hat, kept_everywhere(SIDE, SIDE), prediction)
    bits = predicted_bits(small_coder(name), z, y_hat, prediction)
    assert bits.shape == (SIDE, SIDE)
    assert abs(bits.sum() / 8 - len(coded.y_bytes)) < 8 + 0.002 * len(coded.y_bytes)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_exact_fusion_is_close_to_the_trained_one_and_alike_on_both_back_ends(name):
    model, fusion, rng = small_model(name), fusion_of(name), np.random.default_rng(7)
    _, _, prediction = case(name)
    exact, other = (ExactFusion(fusion, backend) for backend in ("int8", "float64"))
    width = exact._first._product.inputs - model.m - 6
    hyper = rng.standard_normal((POSITIONS, width)) * 3
    rows = exact.features(hyper, prediction, (SIDE, SIDE))
    np.testing.assert_array_equal(rows, other.features(hyper, prediction, (SIDE, SIDE)))

    def maps(values):
        return torch.from_numpy(np.ascontiguousarray(values.T.reshape(1, -1, SIDE, SIDE))).float()

    levels = torch.from_numpy(prediction.levels.reshape(1, SIDE, SIDE).astype(int))
    features = fusion.features(maps(hyper), maps(prediction.y), maps(prediction.planes), levels)
    scale = features.abs().max().item()
    assert np.abs(features[0].flatten(1).T.numpy() - rows).max() < 2e-3 * scale
    for number, step in enumerate(model.passes):
        count = step.channels.stop - step.channels.start
        scales, means = (
            np.exp(rng.standard_normal((POSITIONS, count))),
            rng.standard_normal((POSITIONS, count)),
        )
        y_pred, given = prediction.y[:, step.channels], np.concatenate((scales, means), axis=1)
        fused = exact.parameters(number, rows, given, y_pred)
        np.testing.assert_array_equal(fused, other.parameters(number, rows, given, y_pred))
        np.testing.assert_array_equal(  # rows do not depend on those beside them
            fused[5:6], exact.parameters(number, rows[5:6], given[5:6], y_pred[5:6])
        )
        s, m = fusion(number, features, maps(scales), maps(means), maps(y_pred))
        assert np.abs(np.log(s[0].flatten(1).T.numpy() / fused[:, :count])).max() < 0.02
        assert np.abs(m[0].flatten(1).T.numpy() - fused[:, count:]).max() < 0.05


def test_a_lost_prediction_is_noticed_by_the_digest():
    z, y_hat, prediction = case("bmshj")
    known = kept_everywhere(SIDE, SIDE)
    coded = encode(small_coder("bmshj"), z, y_hat, known, prediction)
    (result,) = decode(
        small_coder("bmshj"), [StreamItem(coded.z_bytes, coded.y_bytes, known, coded.y_digest)]
    )
    assert isinstance(result, Exception)
