"""Streams side by side: a stream says how it was coded and of which round it is, and vectors of another run
never fill a gap."""

import numpy as np
import pytest

import codec.entropy.decoder
import ground.decoder
from codec.bitstream import unpack
from codec.maps.assignment import REMOTE
from ground.round import Station
from tests.nodes.round_cases import EVERYBODY, board_of, crew_of, fly

INDEPENDENT = (
    "codec.context=independent"  # no copy is context, so that a decoder's digest sees no copied vector
)


def streams_of(model, *words):
    products = fly([crew_of(model, EVERYBODY, words)])[0]
    return {(satellite, 0): product.stream for satellite, product in products.items()}


@pytest.mark.parametrize("model", ["bmshj", "elic"])
def test_a_follower_refuses_the_owner_of_another_run(model):
    mine, theirs = streams_of(model, INDEPENDENT), streams_of(model, INDEPENDENT, "seed=4")
    station = Station(board_of(model))
    maps = station.decode(mine).maps
    owner = next(s for s in mine if any(s[0] in one.owner[one.fate == REMOTE] for one in maps.values()))
    followers = {s for s, one in maps.items() if owner[0] in one.owner[one.fate == REMOTE]}
    mixed = station.decode({**mine, owner: theirs[owner]})
    assert followers <= mixed.faults.keys() and owner not in followers
    assert all(
        f"satellite {owner[0]}, whose stream here is of another run" in str(mixed.faults[s])
        for s in followers
    )
    for source in mine.keys() - followers - {owner}:
        known = ~mixed.missing[source]
        whole = station.decode(mine).latents[source]
        assert np.array_equal(mixed.latents[source][:, known], whole[:, known])


def test_all_streams_of_a_round_have_one_accord_and_those_of_other_runs_another():
    accords = {unpack(data).header.accord for data in streams_of("bmshj").values()}
    assert len(accords) == 1 and 0 not in accords
    assert not accords & {unpack(data).header.accord for data in streams_of("bmshj", "seed=4").values()}


def test_streams_in_float_arithmetic_decode_without_the_ground_being_told():
    streams = streams_of("bmshj", "codec.portable=false")
    assert not any(unpack(data).header.settings.portable for data in streams.values())
    assert Station(board_of("bmshj")).decode(streams).whole == streams.keys()


@pytest.mark.parametrize("model", ["bmshj", "elic"])
def test_streams_decode_alike_however_few_are_at_work_at_once(model, monkeypatch):
    streams = streams_of(model)
    whole = Station(board_of(model)).decode(streams)
    assert any((one.fate == REMOTE).any() for one in whole.maps.values())
    monkeypatch.setattr(ground.decoder, "TOGETHER", 1)
    monkeypatch.setattr(codec.entropy.decoder, "STEP_CELLS", 1)
    few = Station(board_of(model)).decode(streams)
    assert list(few.latents) == list(whole.latents) and few.whole == whole.whole == streams.keys()
    for source in streams:
        assert np.array_equal(few.latents[source], whole.latents[source])
        assert np.array_equal(few.bits[source], whole.bits[source])
