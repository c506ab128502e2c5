"""The parts of CCSDS 122: transforms, blocks, coded differences, words."""

import numpy as np
import pytest

from codec.ccsds122 import bits, decoding, rice, tables
from codec.ccsds122.blocks import WEIGHTS, shifts_of, to_blocks, to_pyramid
from codec.ccsds122.wavelet import ANALYSIS_HIGH, ANALYSIS_LOW, forward, inverse

RANDOM = np.random.default_rng(0)


def mirrored(line, at):
    last = len(line) - 1
    at = abs(at)
    return line[last - abs(last - at)]


@pytest.mark.parametrize("shape", [(24, 40), (64, 24)])
def test_both_transforms_come_back(shape):
    whole = RANDOM.integers(-(1 << 15), 1 << 15, shape)
    assert np.array_equal(inverse(forward(whole, True), True), whole)
    real = RANDOM.normal(size=shape)
    assert np.allclose(inverse(forward(real, False), False), real, atol=1e-9)


def test_the_real_transform_is_the_filters_of_the_standard_at_mirrored_borders():
    line = RANDOM.normal(size=24)
    image = np.repeat(line[None], 24, axis=0)
    level = forward(image, False).levels[-1]
    high = [
        sum(ANALYSIS_HIGH[abs(k)] * mirrored(line, 2 * j + 1 + k) for k in range(-3, 4)) for j in range(12)
    ]
    assert np.allclose(level.hl[3], np.array(high) * (ANALYSIS_LOW[0] + 2 * sum(ANALYSIS_LOW[1:])))
    assert np.allclose([level.lh, level.hh], 0)


def test_the_integer_transform_is_the_equations_of_the_standard():
    line = RANDOM.integers(0, 256, 24)
    level = forward(np.repeat(line[:, None], 24, axis=1), True).levels[-1]
    x, n = line.astype(int), 12
    high = [
        x[2 * j + 1] - (9 * (x[2 * j] + x[2 * j + 2]) - (x[2 * j - 2] + x[2 * j + 4]) + 8) // 16
        for j in range(1, n - 2)
    ]
    high = [x[1] - (9 * (x[0] + x[2]) - (x[2] + x[4]) + 8) // 16, *high]
    high += [x[-3] - (9 * (x[-4] + x[-2]) - (x[-6] + x[-2]) + 8) // 16, x[-1] - (9 * x[-2] - x[-4] + 4) // 8]
    assert np.array_equal(level.lh[:, 5], high)


def test_blocks_hold_families_by_generation_and_quadrant():
    pyramid = forward(RANDOM.normal(size=(32, 48)), False)
    blocks = to_blocks(pyramid)
    third, second, first = pyramid.levels
    row, column = 2, 3
    own = blocks[row * 6 + column]
    assert own[0] == pyramid.ll[row, column] and own[22] == third.lh[row, column]
    assert np.array_equal(own[2:6], second.hl[4:6, 6:8].ravel())
    assert np.array_equal(own[6 + 4 : 6 + 8], first.hl[8:10, 14:16].ravel())
    for before, after in zip(pyramid.levels, to_pyramid(blocks, 6).levels, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert shifts_of(WEIGHTS)[[0, 1, 2, 6, 43, 44, 48]].tolist() == [3, 3, 2, 1, 2, 1, 0]


@pytest.mark.parametrize("optimum", [True, False])
@pytest.mark.parametrize("width", range(2, 11))
def test_coded_differences_come_back_as_far_as_there_are_bits(width, optimum):
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    for values in (
        RANDOM.integers(low, high + 1, 50),
        np.clip(np.cumsum(RANDOM.integers(-1, 2, 50)), low, high),
        np.array([high, low, low, high, 0, high]),
        np.array([low]),
    ):
        mapped = rice.mapped_differences(values.astype(np.int64), low, high)
        assert mapped[1:].min(initial=0) >= 0 and mapped[1:].max(initial=0) < 1 << width
        buffer, state = bits.writer(400)
        rice.put_gaggles(buffer, state, mapped, width, optimum)
        end = state[bits.POSITION]
        for cut in (end, end // 2):
            found, state = np.zeros(len(values), np.int64), np.array([0, cut, 0])
            known = rice.take_gaggles(buffer, state, found, width)
            assert np.array_equal(found[1:known], mapped[1:known]) and (known == len(values)) == (cut == end)
            if known:
                found[0] = values[0]
                rice.summed_differences(found[:known], low, high, state)
                assert np.array_equal(found[:known], values[:known])


def test_codes_are_complete_prefix_codes_and_words_come_back():
    for kind, options in enumerate((2, 4, 4)):
        for option in range(options):
            if kind == 1 and option == 2:  # reserved
                continue
            symbols = np.arange(4 << kind)
            lengths = tables.CODE_BITS[kind, option, symbols]
            assert (2.0**-lengths).sum() == 1.0
            for special in range(2):
                for word in range(4 << kind):
                    if tables.SYMBOL_OF[kind, special, word] < 0:
                        continue
                    symbol = tables.SYMBOL_OF[kind, special, word]
                    buffer, state = bits.writer(4)
                    bits.put(buffer, state, tables.CODE[kind, option, symbol], lengths[symbol])
                    state = np.array([0, state[bits.POSITION], 0])
                    own = np.full(3, option)
                    assert decoding.take_word(buffer, state, own, kind + 2, special) == word
                    assert state[bits.POSITION] == state[bits.END] and not state[bits.FAULT]


def test_words_that_cannot_be_are_damage_and_missing_bits_are_the_end():
    buffer = np.array([0b00010000], dtype=np.uint8)  # option 1 of three bits: symbol 7, which no tran_D has
    state = np.array([0, 8, 0])
    assert (
        decoding.take_word(buffer, state, np.array([0, 1, 0]), 3, 1) == -1
        and state[bits.FAULT] == bits.DAMAGED
    )
    state = np.array([0, 3, 0])
    assert (
        decoding.take_word(buffer, state, np.array([0, 1, 0]), 3, 0) == -1 and state[bits.FAULT] == bits.SPENT
    )
