"""The entropy coder: round trips for every family and layout, the sequential reference, batches, damage,
CompressAI."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.entropy.coder import (
    ContextLayout,
    EntropyCoder,
    StreamItem,
    context_digest,
    decoder_layout,
    encoder_layout,
)
from codec.entropy.digits import int8_is_exact
from codec.entropy.layouts import FILL, KNOWN
from codec.maps.assignment import KEPT, LOCAL, REMOTE, AssignmentMap
from constellation.common.errors import BitstreamError
from tests.codec.entropy.entropy_cases import (
    FAMILIES,
    consistent,
    latents,
    mixed_layout,
    small_coder,
    small_model,
    with_references,
)
from tests.codec.entropy.entropy_reference import plain_decode

families = pytest.mark.parametrize("name", FAMILIES)


def encoded(name: str, layout: ContextLayout, seed: int = 0, coder: EntropyCoder | None = None):
    """(stream item ready to decode, context map, y_hat) of latents under `layout`."""
    coder = coder or small_coder(name)
    y = latents(name, seed, layout.height, layout.width)
    y_hat = np.rint(y[0].numpy()).astype(np.int32)
    coded = coder.encode(coder.hyper_symbols(y), y_hat, layout)
    inside, known = with_references(layout, y_hat)
    item = StreamItem(
        coded.z_bytes, coded.y_bytes, layout.height, layout.width, inside, known, coded.y_digest
    )
    return item, consistent(y_hat, layout), y_hat


@families
@pytest.mark.parametrize("seed", range(3))
def test_any_mixture_of_fates_decodes_to_the_context_map(name, seed):
    item, context, _ = encoded(name, mixed_layout(name, seed), seed)
    decoded = small_coder(name).decode([item])[0]
    assert np.array_equal(decoded.y_context, context) and decoded.y_digest == item.y_digest == context_digest(
        context
    )


@families
def test_nothing_kept_is_no_bytes_and_decodes(name):
    for source in (FILL, KNOWN):
        item, context, _ = encoded(name, ContextLayout(8, 8, np.full(64, source)))
        assert item.y_bytes == b"" and np.array_equal(small_coder(name).decode([item])[0].y_context, context)


@families
@pytest.mark.parametrize("kept", (0, 1))
def test_one_kept_position_decodes(name, kept):
    source = np.full(4, FILL)
    source[kept] = kept
    item, context, _ = encoded(name, ContextLayout(2, 2, source))
    assert np.array_equal(small_coder(name).decode([item])[0].y_context, context)


@families
def test_a_map_that_is_no_multiple_of_four_decodes(name):
    item, context, _ = encoded(name, mixed_layout(name, 1, 5, 7))
    assert np.array_equal(small_coder(name).decode([item])[0].y_context, context)


@families
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), height=st.integers(1, 9), width=st.integers(1, 9))
def test_decode_of_encode_is_the_identity(name, seed, height, width):
    height, width = -(-height // 2) * 2, -(-width // 2) * 2
    item, context, _ = encoded(name, mixed_layout(name, seed, height, width), seed)
    assert np.array_equal(small_coder(name).decode([item])[0].y_context, context)


@families
@pytest.mark.parametrize("backend", ("int8", "float64"))
def test_the_sequential_reference_decodes_the_same_streams(name, backend):
    if backend == "int8" and not int8_is_exact():
        pytest.skip("this processor sums signed bytes inexactly")
    layout = mixed_layout(name, 4, 6, 6)
    item, context, y_hat = encoded(name, layout, 4, small_coder(name, backend=backend))
    known = {int(p): y_hat.reshape(len(y_hat), -1)[:, p] for p in np.flatnonzero(layout.source == KNOWN)}
    assert np.array_equal(plain_decode(small_model(name), item, known), context)


@families
def test_streams_of_one_batch_decode_as_each_does_alone(name):
    cases = [encoded(name, mixed_layout(name, seed, 4 + 4 * (seed % 3), 8), seed) for seed in range(8)]
    together = small_coder(name).decode([item for item, *_ in cases])
    for (item, context, _), decoded in zip(cases, together, strict=True):
        assert np.array_equal(decoded.y_context, context)
        assert np.array_equal(small_coder(name).decode([item])[0].y_context, context)


def overlapping_round(name: str, count: int = 4):
    """Streams in priority order; each has exact copies of the one before it (shifted), through chains, and
    local copies and fills."""
    coder, items, contexts, previous = small_coder(name), [], [], None
    for b in range(count):
        y = latents(name, b)
        y_hat = np.rint(y[0].numpy()).astype(np.int32)
        layout = mixed_layout(name, b, known=False)
        source, reference = layout.source.copy(), np.zeros((64, 2), dtype=np.int32)
        if b:
            for p in range(64):
                row, column = divmod(p, 8)
                if source[p] == p and row < 4 and column < 6 and (row + column + b) % 3:
                    at = (row + 3) * 8 + column + 1
                    if (
                        items[-1].layout.source[at] != FILL
                        and not (layout.source == p)[np.arange(64) != p].any()
                    ):
                        source[p], reference[p] = KNOWN, (b - 1, at)
                        y_hat[:, row, column] = previous[:, row + 3, column + 1]
        layout = ContextLayout(8, 8, source, reference)
        coded = coder.encode(coder.hyper_symbols(y), y_hat, ContextLayout(8, 8, source))
        previous = consistent(y_hat, layout)
        items.append(StreamItem(coded.z_bytes, coded.y_bytes, 8, 8, layout, None, coded.y_digest))
        contexts.append(previous)
    return items, contexts


@families
def test_a_round_whose_streams_refer_to_each_other_decodes_in_one_call(name):
    items, contexts = overlapping_round(name)
    assert sum((item.layout.source == KNOWN).sum() for item in items) > 10
    for decoded, context in zip(small_coder(name).decode(items), contexts, strict=True):
        assert np.array_equal(decoded.y_context, context)


@families
def test_a_round_decodes_one_stream_at_a_time_in_priority_order_too(name):
    items, contexts = overlapping_round(name)
    for b, (item, context) in enumerate(zip(items, contexts, strict=True)):
        reference = item.layout.reference.copy()
        known = np.zeros((64, context.shape[0]), dtype=np.int16)
        if b:
            known = contexts[b - 1].reshape(len(context), -1).T.astype(np.int16)
        reference[:, 0] = -1
        alone = dataclasses.replace(
            item, layout=ContextLayout(8, 8, item.layout.source, reference), known=known
        )
        assert np.array_equal(small_coder(name).decode([alone])[0].y_context, context)


@families
def test_a_damaged_stream_fails_with_its_followers_and_nobody_else(name):
    items, contexts = overlapping_round(name)
    bad = bytearray(items[1].y_bytes)
    bad[len(bad) // 2] ^= 0x55
    items[1] = dataclasses.replace(items[1], y_bytes=bytes(bad))
    results = small_coder(name).decode(items, on_error="return")
    assert np.array_equal(results[0].y_context, contexts[0])
    assert all(isinstance(result, BitstreamError) for result in results[1:])
    with pytest.raises(BitstreamError, match="stream 1"):
        small_coder(name).decode(items)


@families
@pytest.mark.parametrize("fault", ("order", "nowhere", "circle"))
def test_a_layout_that_cannot_be_decoded_fails_with_its_followers_and_nobody_else(name, fault):
    items, contexts = overlapping_round(name)
    source, reference = items[2].layout.source.copy(), items[2].layout.reference.copy()
    if fault == "order":
        first = int(np.flatnonzero(items[2].layout.kept)[0])
        source[source == first] = FILL
        source[first], source[63] = 63, 63
    else:
        source[5] = KNOWN
        reference[5] = (
            (9, 0) if fault == "nowhere" else (3, int(np.flatnonzero(items[3].layout.source == KNOWN)[-1]))
        )
        if fault == "circle":
            source[:], reference[:, 0] = KNOWN, 3
            reference[:, 1] = np.flatnonzero(items[3].layout.source == KNOWN)[0]
    items[2] = dataclasses.replace(items[2], layout=ContextLayout(8, 8, source, reference))
    results = small_coder(name).decode(items, on_error="return")
    assert [isinstance(result, BitstreamError) for result in results] == [False, False, True, True]
    assert all(np.array_equal(results[b].y_context, contexts[b]) for b in (0, 1))
    with pytest.raises(BitstreamError, match="stream 2"):
        small_coder(name).decode(items)


@families
def test_encoding_is_the_same_with_one_or_two_threads_and_without_onednn(name):
    expected, _, _ = encoded(name, mixed_layout(name, 2))
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
                        again = coder.encode(z, y_hat, mixed_layout(name, 2))
                        assert (again.y_bytes, again.z_bytes) == (expected.y_bytes, expected.z_bytes)
    finally:
        torch.set_num_threads(threads)


@families
def test_estimate_is_the_size_of_the_stream(name):
    coder, layout = small_coder(name), mixed_layout(name, 3)
    item, context, y_hat = encoded(name, layout, 3)
    z = coder.hyper_symbols(latents(name, 3))
    bits = coder.estimate_bits(z, y_hat, context, layout.kept.reshape(8, 8))
    assert not bits.reshape(-1)[~layout.kept].any() and 0 < len(item.y_bytes) * 8 - bits.sum() < 64
    assert 0 < len(item.z_bytes) * 8 - coder.estimate_hyper_bits(z) < 64


@families
@pytest.mark.parametrize("part", ("z_bytes", "y_bytes"))
def test_truncated_and_random_sections_are_errors(name, part):
    item, _, _ = encoded(name, mixed_layout(name, 0))
    good, rng = getattr(item, part), np.random.default_rng(0)
    for stream in (
        b"",
        good[:1],
        good[:-2],
        good[:-1],
        good + b"\0\0",
        rng.bytes(len(good)),
        rng.bytes(3),
        bytes(len(good)),
    ):
        with pytest.raises(BitstreamError):
            small_coder(name).decode([dataclasses.replace(item, **{part: stream})])


@families
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_never_silent(name, data):
    item, _, _ = encoded(name, mixed_layout(name, 0, 4, 4))
    part = data.draw(st.sampled_from(("z_bytes", "y_bytes")))
    stream = bytearray(getattr(item, part))
    bit = data.draw(st.integers(0, 8 * len(stream) - 1))
    stream[bit // 8] ^= 1 << bit % 8
    try:
        decoded = small_coder(name).decode([dataclasses.replace(item, **{part: bytes(stream)})])[0]
    except BitstreamError:
        return
    assert (
        part == "z_bytes" and decoded.y_digest == item.y_digest
    )  # y came out right; a container checks z by its own checksum


@pytest.mark.parametrize(
    "change", ({"height": 0, "width": 0}, {"height": 4}, {"height": 1 << 30, "width": 1 << 30})
)
def test_sizes_that_do_not_fit_are_errors(change):
    item, _, _ = encoded("bmshj", mixed_layout("bmshj", 0))
    with pytest.raises(BitstreamError, match="map"):
        small_coder("bmshj").decode([dataclasses.replace(item, **change)])


def test_encode_refuses_wrong_shapes_and_values():
    coder, layout = small_coder("mbt"), ContextLayout.all_kept(8, 8)
    z = coder.hyper_symbols(latents("mbt"))
    with pytest.raises(ValueError, match="shape"):
        coder.encode(z, np.zeros((3, 8, 8), int), layout)
    with pytest.raises(ValueError, match="at most"):
        coder.encode(z, np.full((24, 8, 8), 40000), layout)


def test_layouts_of_an_assignment_map():
    fate = np.array([[KEPT, LOCAL, REMOTE, REMOTE]], dtype=np.uint8)
    assignment = AssignmentMap(
        fate,
        np.array([[False, False, True, False]]),
        np.array([[-1, -1, 3, 3]], dtype=np.int16),
        np.array([[-1, 0, 5, 6]], dtype=np.int32),
    )
    assert encoder_layout(assignment).source.tolist() == [0, 0, KNOWN, FILL]
    assert encoder_layout(assignment, "independent").source.tolist() == [0, 0, FILL, FILL]
    layout = decoder_layout(assignment, np.array([8, 8, 1, 2]), [7, 8, 9])
    assert layout.source.tolist() == [0, 0, KNOWN, FILL] and layout.reference[2].tolist() == [7, 1]
    with pytest.raises(BitstreamError, match="not here"):
        decoder_layout(assignment, np.array([8, 8, -1, 2]), [7, 8, 9])
