"""The entropy coder: round trips for every family and layout, the sequential reference, batches, damage,
CompressAI."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.entropy.coder import context_digest, context_map
from codec.entropy.decoder import StreamItem, decode
from codec.entropy.digits import int8_is_exact
from codec.entropy.encoder import encode
from codec.entropy.estimate import bits_of
from codec.maps.assignment import FILL, KNOWN
from codec.maps.references import CIRCLE, NOWHERE, References
from constellation.common.errors import BitstreamError
from tests.codec.entropy.entropy_cases import (
    FAMILIES,
    coded_case,
    decoded,
    kept_everywhere,
    latents,
    mixed_known,
    small_coder,
    small_model,
)
from tests.codec.entropy.entropy_reference import plain_decode

families = pytest.mark.parametrize("name", FAMILIES)


@families
@pytest.mark.parametrize("seed", range(3))
def test_any_mixture_of_fates_decodes_to_the_context_map(name, seed):
    case = coded_case(name, mixed_known(name, seed), seed)
    result = decoded(name, case)
    assert np.array_equal(result.y_context, case.context)
    assert result.y_digest == case.item.y_digest == context_digest(case.context)


@families
def test_nothing_kept_is_no_bytes_and_decodes(name):
    for source in (FILL, KNOWN):
        case = coded_case(name, np.full((8, 8), source))
        assert case.item.y_bytes == b"" and np.array_equal(decoded(name, case).y_context, case.context)


@families
@pytest.mark.parametrize("kept", (0, 1))
def test_one_kept_position_decodes(name, kept):
    known = np.full(4, FILL)
    known[kept] = kept
    case = coded_case(name, known.reshape(2, 2))
    assert np.array_equal(decoded(name, case).y_context, case.context)


@families
def test_a_map_that_is_no_multiple_of_four_decodes(name):
    case = coded_case(name, mixed_known(name, 1, 5, 7))
    assert np.array_equal(decoded(name, case).y_context, case.context)


@families
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), height=st.integers(1, 9), width=st.integers(1, 9))
def test_decode_of_encode_is_the_identity(name, seed, height, width):
    height, width = -(-height // 2) * 2, -(-width // 2) * 2
    case = coded_case(name, mixed_known(name, seed, height, width), seed)
    assert np.array_equal(decoded(name, case).y_context, case.context)


@families
@pytest.mark.parametrize("backend", ("int8", "float64"))
def test_the_sequential_reference_decodes_the_same_streams(name, backend):
    if backend == "int8" and not int8_is_exact():
        pytest.skip("this processor sums signed bytes inexactly")
    known = mixed_known(name, 4, 6, 6)
    case = coded_case(name, known, 4, small_coder(name, backend=backend))
    given_ = {
        int(p): case.y_hat.reshape(len(case.y_hat), -1)[:, p]
        for p in np.flatnonzero(known.reshape(-1) == KNOWN)
    }
    assert np.array_equal(plain_decode(small_model(name), case.item, given_), case.context)


@families
def test_streams_of_one_batch_decode_as_each_does_alone(name):
    knowns = [mixed_known(name, seed, 4 + 4 * (seed % 3), 8, known=False) for seed in range(8)]
    cases = [coded_case(name, known, seed) for seed, known in enumerate(knowns)]
    together = decode(small_coder(name), [case.item for case in cases])
    for case, result in zip(cases, together, strict=True):
        assert np.array_equal(result.y_context, case.context)
        assert np.array_equal(decoded(name, case).y_context, case.context)


def overlapping_round(name: str, count: int = 4):
    """Streams in priority order, their references, and what they decode to; each has exact copies of the one
    before it (shifted), through chains, and local copies and fills."""
    coder, items, contexts, cells = small_coder(name), [], [], []
    for b in range(count):
        y = latents(name, b)
        y_hat = np.rint(y[0].numpy()).astype(np.int32)
        known = mixed_known(name, b, known=False)
        source, cell = known.reshape(-1).copy(), np.arange(64) + 64 * b
        for p in range(64 if b else 0):
            row, column = divmod(p, 8)
            at, before = (row + 1) * 8 + column + 1, items[-1].known.reshape(-1)
            if source[p] == p and row < 7 and column < 7 and (row + column + b) % 4 and before[at] != FILL:
                source[p], behind = KNOWN, before[at] if before[at] >= 0 else at
                cell[p] = cells[-1][behind]
                y_hat[:, row, column] = contexts[-1][:, row + 1, column + 1]
        known = source.reshape(8, 8)
        coded = encode(coder, coder.hyper_symbols(y), y_hat, known)
        items.append(StreamItem(coded.z_bytes, coded.y_bytes, known, coded.y_digest))
        contexts.append(context_map(y_hat, known))
        cells.append(cell)
    return items, References(tuple(range(count)), 64 * np.arange(count + 1), np.concatenate(cells)), contexts


def test_a_round_has_references_through_chains():
    items, references, _ = overlapping_round("mbt")
    assert sum((item.known == KNOWN).sum() for item in items) > 10
    assert (references.place(references.of(3)) < 2).any()


@families
def test_a_round_whose_streams_refer_to_each_other_decodes_in_one_call_in_any_order(name):
    items, references, contexts = overlapping_round(name)
    for result, context in zip(decode(small_coder(name), items, references), contexts, strict=True):
        assert np.array_equal(result.y_context, context)
    places, cells = np.array([2, 0, 3, 1]), references.cell.reshape(4, 64)[[2, 0, 3, 1]]
    turned = np.argsort(places)[cells // 64] * 64 + cells % 64
    again = References(tuple(places), references.first, turned.reshape(-1))
    for b, result in zip(places, decode(small_coder(name), [items[b] for b in places], again), strict=True):
        assert np.array_equal(result.y_context, contexts[b])


@families
def test_vectors_that_are_known_beforehand_stand_for_the_streams_that_code_them(name):
    case = coded_case(name, mixed_known(name, 5), seed=5)
    alone = replace(case.item, given=case.y_hat)
    other = coded_case(name, kept_everywhere(8, 8), seed=6).item
    for items in ([alone], [other, alone], [alone, other]):
        result = decode(small_coder(name), items)[items.index(alone)]
        assert np.array_equal(result.y_context, case.context)
    mixed = decode(
        small_coder(name), [*case.items, alone], None if case.references is None else _longer(case)
    )
    assert all(np.array_equal(one.y_context, case.context) for one in mixed[1:])
    wrong = decode(small_coder(name), [replace(case.item, given=case.y_hat + 1)])[0]
    assert isinstance(wrong, BitstreamError)


def _longer(case):
    """The case's references, and those of one more stream that refers to nobody here."""
    first = case.references.first
    more = np.full(case.item.known.size, -1)
    return References(
        (0, 1, 2), np.append(first, first[-1] + len(more)), np.append(case.references.cell, more)
    )


@families
@pytest.mark.parametrize("part", ("y_bytes", "z_bytes"))
def test_a_damaged_stream_fails_with_its_followers_and_nobody_else(name, part):
    items, references, contexts = overlapping_round(name)
    bad = bytearray(getattr(items[1], part))
    bad[len(bad) // 2] ^= 0x55
    items[1] = dataclasses.replace(items[1], **{part: bytes(bad)})
    results = decode(small_coder(name), items, references)
    assert np.array_equal(results[0].y_context, contexts[0])
    assert all(isinstance(result, BitstreamError) for result in results[1:])
    assert "stream 1 of the batch" in str(results[1])


@families
@pytest.mark.parametrize("fault", ("nowhere", "circle", "each other", "size"))
def test_a_stream_that_cannot_be_decoded_fails_with_its_followers_and_nobody_else(name, fault):
    items, references, contexts = overlapping_round(name)
    known, cell = items[2].known.copy(), references.cell.copy()
    if fault == "size":
        known = np.broadcast_to(np.int32(FILL), (1 << 10, 1 << 10))
    else:
        known[:] = KNOWN
        cell[128:192] = {"nowhere": NOWHERE, "circle": CIRCLE, "each other": 255}[fault]
    if (
        fault == "each other"
    ):  # its whole map is one vector of stream 3, which has it at every place of its own
        items[3] = dataclasses.replace(
            items[3], known=np.where(kept_everywhere(8, 8) < 60, KNOWN, items[3].known)
        )
        known[7, 7] = 63
        cell[192:252] = 128 + 63
    items[2] = dataclasses.replace(items[2], known=known)
    results = decode(small_coder(name), items, References(references.satellites, references.first, cell))
    assert all(np.array_equal(results[b].y_context, contexts[b]) for b in (0, 1))
    assert all(isinstance(results[b], BitstreamError) for b in (2, 3))


@families
def test_encoding_is_the_same_with_one_or_two_threads_and_without_onednn(name):
    known = mixed_known(name, 2)
    expected = coded_case(name, known).item
    z = small_coder(name).hyper_symbols(latents(name))
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            for mkldnn in (True, False):
                with torch.backends.mkldnn.flags(enabled=mkldnn):
                    for backend in ("auto", "float64"):
                        coder = small_coder(name, backend=backend)
                        y_hat = np.rint(latents(name)[0].numpy()).astype(np.int32)
                        again = encode(coder, z, y_hat, known)
                        assert (again.y_bytes, again.z_bytes) == (expected.y_bytes, expected.z_bytes)
    finally:
        torch.set_num_threads(threads)


@families
def test_estimate_is_the_size_of_the_stream(name):
    coder, known = small_coder(name), mixed_known(name, 3)
    case = coded_case(name, known, 3)
    kept = known == kept_everywhere(8, 8)
    bits = bits_of(coder, coder.hyper_symbols(latents(name, 3)), case.y_hat, case.context, kept)
    assert not bits[~kept].any() and 0 < len(case.item.y_bytes) * 8 - bits.sum() < 64


@families
@pytest.mark.parametrize("part", ("z_bytes", "y_bytes"))
def test_truncated_and_random_sections_are_errors(name, part):
    case = coded_case(name, mixed_known(name, 0))
    good, rng = getattr(case.item, part), np.random.default_rng(0)
    cut = (b"", good[:1], good[:-2], good[:-1], good + b"\0\0")
    for stream in (*cut, rng.bytes(len(good)), rng.bytes(3), bytes(len(good))):
        assert isinstance(decoded(name, case, **{part: stream}), BitstreamError)


@families
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_never_silent(name, data):
    case = coded_case(name, mixed_known(name, 0, 4, 4))
    part = data.draw(st.sampled_from(("z_bytes", "y_bytes")))
    stream = bytearray(getattr(case.item, part))
    bit = data.draw(st.integers(0, 8 * len(stream) - 1))
    stream[bit // 8] ^= 1 << bit % 8
    result = decoded(name, case, **{part: bytes(stream)})
    if not isinstance(result, BitstreamError):  # y came out right; a container checks z by its own checksum
        assert part == "z_bytes" and result.y_digest == case.item.y_digest


@pytest.mark.parametrize("shape", ((0, 0), (0, 8), (1 << 10, 1 << 8)))
def test_sizes_that_no_stream_has_are_errors(shape):
    case = coded_case("bmshj", mixed_known("bmshj", 0, known=False))
    result = decoded("bmshj", case, known=np.broadcast_to(np.int32(FILL), shape))
    assert isinstance(result, BitstreamError) and "a latent map of" in str(result)


def test_references_that_are_not_given_are_an_error():
    case = coded_case("mbt", mixed_known("mbt", 0))
    (result,) = decode(small_coder("mbt"), [case.item])
    assert "no references were given" in str(result)


def test_encode_refuses_wrong_shapes_and_values():
    coder, known = small_coder("mbt"), kept_everywhere(8, 8)
    z = coder.hyper_symbols(latents("mbt"))
    with pytest.raises(ValueError, match="shape"):
        encode(coder, z, np.zeros((3, 8, 8), int), known)
    with pytest.raises(ValueError, match="at most"):
        encode(coder, z, np.full((24, 8, 8), 40000), known)
