"""Portable pictures: the same to the bit whoever makes them, and their streams say so."""

import dataclasses

import numpy as np
import pytest

from codec.bitstream import pack, unpack
from codec.portable.transforms import Transforms, picture_digest
from codec.settings import StreamSettings, settings_bits, settings_of
from constellation.common.errors import BitstreamError, UserError
from constellation.scenario.load import load_scenario
from dlrc.local import fly, sides_of
from ground.reconstructor import Grid, reconstruct

SMALL = ("satellites=2", "capture.patch_px=128", "capture.window_px=160", "scene.size_px=192")
PORTABLE = "codec.portable_pictures=true"


def landed_of(*words):
    sides = sides_of(load_scenario("dense", [*SMALL, PORTABLE, *words]))
    return sides.station.board, fly(sides, 0).landed


@pytest.mark.parametrize("word", ["dlrc.signature=content", "dlrc.enabled=false"])
def test_a_stream_that_knows_its_picture_carries_its_digest(word):
    board, landed = landed_of(word)
    other = Transforms(board.model, "float64")
    for (satellite, _), stream in landed.decoded.streams.items():
        expected = other.picture(np.rint(landed.decoded.latents[satellite, 0]))
        np.testing.assert_array_equal(landed.images[satellite], expected)
        assert stream.header.picture_digest == picture_digest(expected)
        assert unpack(pack(stream)).header == stream.header


def test_a_picture_that_is_not_what_the_stream_says_is_refused():
    board, landed = landed_of("dlrc.enabled=false")
    (source, stream), *_ = landed.decoded.streams.items()
    wrong = dataclasses.replace(stream.header, picture_digest=stream.header.picture_digest ^ 1)
    with pytest.raises(BitstreamError, match="its stream says"):
        reconstruct(board, {source[0]: Grid(landed.decoded.latents[source], wrong)})
    reconstruct(board, {source[0]: Grid(landed.decoded.latents[source], wrong, whole=False)})


@pytest.mark.parametrize("word", ["dlrc.signature=lsh", "capture.halo_px=32"])
def test_where_the_coder_cannot_know_the_picture_it_is_portable_all_the_same(word):
    _, landed = landed_of(word)
    headers = [stream.header for stream in landed.decoded.streams.values()]
    assert all(h.settings.portable_pictures and not h.settings.shows for h in headers)
    assert all(image.shape == (128, 128, 3) for image in landed.images.values())
    assert not any(header.picture_digest for header in headers)


def test_a_damaged_picture_digest_is_found_before_anything_is_decoded():
    _, landed = landed_of("dlrc.enabled=false")
    stream = next(iter(landed.decoded.streams.values()))
    data = bytearray(pack(stream))
    at = data.index(stream.header.picture_digest.to_bytes(4, "little"))
    data[at] ^= 1
    with pytest.raises(BitstreamError, match="checksum of header and z"):
        unpack(bytes(data))


def test_the_centred_grid_has_no_portable_pictures():
    with pytest.raises(UserError, match="portable_pictures"):
        load_scenario("dense", [PORTABLE, "codec.grid=centred"])


def test_earlier_versions_have_no_such_bit():
    bits = settings_bits(StreamSettings(portable_pictures=True))
    assert settings_of(bits, 4).portable_pictures
    with pytest.raises(BitstreamError, match="unknown bits"):
        settings_of(bits, 3)
