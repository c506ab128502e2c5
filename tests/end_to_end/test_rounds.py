"""Whole rounds in one process, real bytes, real decoder: exact for every model, rule and number of
satellites."""

import numpy as np
import pytest

from constellation.scenario.load import load_scenario
from dlrc.local import fly as fly_here
from dlrc.local import sides_of
from ground.reconstructor import synthesise
from ground.records import Outcome
from ground.round import Station
from nodes.process.board import load_board

MODELS = ["bmshj", "mbt", "cheng", "elic"]
SMALL = ["capture.patch_px=128", "scene.size_px=384"]
two_families = pytest.mark.parametrize("model", ["bmshj", "elic"], indirect=True)  # few passes, and many


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return request.param, load_board(load_scenario("dense", [f"codec.model={request.param}"]).codec)


def fly(model, *overrides, window=176):
    name, board = model
    scenario = load_scenario(
        "dense", [f"codec.model={name}", *SMALL, f"capture.window_px={window}", "satellites=3", *overrides]
    )
    return fly_here(sides_of(scenario, board), 0).landed


def all_exact(landed):
    return all(record.outcome is Outcome.EXACT for record in landed.record.satellites)


@pytest.mark.parametrize("representative", ["original", "mean"])
def test_every_stream_decodes_to_what_was_coded(model, representative):
    landed = fly(model, f"dlrc.representative={representative}", "dlrc.k=4")
    assert all_exact(landed)
    assert sum(record.remote_copy for record in landed.record.satellites) > 0


@two_families
@pytest.mark.parametrize("satellites", [1, 2])
def test_few_satellites_and_sparse_windows_decode_too(model, satellites):
    landed = fly(model, f"satellites={satellites}", window=256)
    assert all_exact(landed)


@two_families
def test_with_a_halo_the_ground_surrounds_each_patch_with_the_others_and_loses_less_at_its_border(model):
    name, board = model
    landed = fly(model, "capture.halo_px=64", "satellites=4")
    assert all_exact(landed)
    errors = dict.fromkeys(("none", "ground"), 0.0)
    for (satellite, _), latents in landed.decoded.latents.items():
        original = landed.arrived.witness[satellite].original.astype(float)
        for ring, image in (
            ("none", synthesise(board.model, latents, 0)),
            ("ground", landed.images[satellite]),
        ):
            errors[ring] += float(((image - original) ** 2).mean())
    assert errors["ground"] < errors["none"], name


@two_families
def test_a_stream_says_whether_its_latents_saw_surroundings(model):
    for halo in (0, 32):
        landed = fly(model, f"capture.halo_px={halo}", "satellites=2")
        assert {
            stream.header.settings.halo
            for kind in (landed.decoded, landed.alone)
            for stream in kind.streams.values()
        } == {halo > 0}


@two_families
def test_content_signatures_rebuild_exactly_what_independent_coding_rebuilds(model):
    landed = fly(model, "dlrc.signature=content")
    assert all_exact(landed)
    for source, latents in landed.alone.latents.items():
        assert np.array_equal(landed.decoded.latents[source], latents)
        assert np.array_equal(landed.images[source[0]], landed.images_alone[source[0]])
    assert sum(r.dlrc.y for r in landed.record.satellites) < sum(
        r.independent.y for r in landed.record.satellites
    )


def test_independent_context_decodes_each_stream_alone(model):
    landed = fly(model, "codec.context=independent")
    assert all_exact(landed)
    last = landed.record.satellites[-1]
    source = last.satellite, 0
    alone = Station(model[1]).decode({source: landed.arrived.streams[source]})
    assert not alone.faults  # latents are there; positions whose owner is missing are counted
    missing = alone.missing[source].sum()  # a copy of an own cell that copies from another is missing, too
    assert last.remote_copy <= missing <= last.remote_copy + last.local_copy


@pytest.mark.parametrize(
    "override", ["dlrc.map_coding=lzma", "dlrc.dedup=footprint", "priority.rule=random", "capture.halo_px=32"]
)
def test_other_codings_of_the_same_round_decode_too(override):
    board = load_board(load_scenario("dense", ["codec.model=mbt"]).codec)
    landed = fly(("mbt", board), override)
    assert all_exact(landed)


def test_balanced_owners_decode_with_a_codec_without_context_and_level_what_is_kept():
    board = load_board(load_scenario("dense", []).codec)
    by_id, balanced = (
        fly(("bmshj", board), f"priority.rule={rule}", "capture.patch_px=192", window=256)
        for rule in ("id", "balanced")
    )
    assert all_exact(balanced)
    kept = [[one.kept for one in landed.record.satellites] for landed in (by_id, balanced)]
    assert sum(one.remote_copy for one in balanced.record.satellites) > 0
    assert max(kept[1]) < max(kept[0])


def test_footprints_reach_the_oracle():
    board = load_board(load_scenario("dense", []).codec)
    records = fly(("bmshj", board), "dlrc.dedup=footprint").record.satellites
    assert sum(one.remote_copy for one in records) == sum(one.oracle for one in records) > 0


def test_without_dlrc_the_streams_are_the_independent_ones():
    board = load_board(load_scenario("dense", []).codec)
    landed = fly(("bmshj", board), "dlrc.enabled=false", "dlrc.signature=content")
    assert all_exact(landed)
    assert all(record.remote_copy == 0 for record in landed.record.satellites)
    assert landed.arrived.streams == landed.arrived.alone


def test_the_centred_grid_flies_a_whole_round():
    name = "mbt"
    board = load_board(load_scenario("dense", [f"codec.model={name}", "codec.grid=centred"]).codec)
    landed = fly((name, board), "codec.grid=centred")
    assert all_exact(landed)
