"""Streams of random numbers are told apart by what they are for."""

import numpy as np

from constellation.common.random import stream


def test_a_stream_is_its_key_and_nothing_else():
    first = stream(0xA, 1, 2, 3).integers(2**62, size=4)
    stream(0xA, 1, 2, 4).integers(2**62, size=4)
    assert (stream(0xA, 1, 2, 3).integers(2**62, size=4) == first).all()


def test_purpose_seed_satellite_and_round_each_make_another_stream():
    keys = [(1, 2, 3, 4), (2, 1, 3, 4), (1, 2, 4, 3), (1, 2, 3, 5), (1, 2, 3)]
    drawn = {tuple(stream(*key).integers(2**62, size=4)) for key in keys}
    assert len(drawn) == len(keys)


def test_streams_are_those_that_runs_so_far_were_drawn_from():
    plain = np.random.Generator(np.random.Philox(np.random.SeedSequence([7, 0, 5])))
    assert (stream(7, 0, 5).integers(2**62, size=4) == plain.integers(2**62, size=4)).all()
