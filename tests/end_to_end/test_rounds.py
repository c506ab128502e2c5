"""Whole rounds in one process, real bytes, real decoder: exact for every model, rule and number of
satellites."""

import numpy as np
import pytest

from constellation.scenario.scenario import load_scenario
from nodes.coding import load_board
from ground.reconstructor import synthesise
from dlrc.studies.common.rounds import Fleet

MODELS = ["bmshj", "mbt", "cheng", "elic"]
SMALL = ["capture.patch_px=192", "scene.size_px=384"]


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return request.param, load_board(load_scenario("dense", [f"codec.model={request.param}"]))


def fly(model, *overrides, window=256):
    name, board = model
    scenario = load_scenario(
        "dense", [f"codec.model={name}", *SMALL, f"capture.window_px={window}", "satellites=3", *overrides]
    )
    fleet = Fleet(scenario, board)
    return fleet, fleet.fly(0)


def all_exact(flight):
    return (
        all(record.exact and not record.failed for record in flight.records)
        and not flight.results["dlrc"].failures
    )


@pytest.mark.parametrize("representative", ["original", "mean"])
def test_every_stream_decodes_to_what_was_coded(model, representative):
    _, flight = fly(model, f"dlrc.representative={representative}", "dlrc.k=4")
    assert all_exact(flight)
    assert sum(record.remote_copy for record in flight.records) > 0


@pytest.mark.parametrize("satellites", [1, 2])
def test_few_satellites_and_sparse_windows_decode_too(model, satellites):
    _, flight = fly(model, f"satellites={satellites}", window=384)
    assert all_exact(flight)


def test_with_a_halo_the_ground_surrounds_each_patch_with_the_others_and_loses_less_at_its_border(model):
    name, _ = model
    flight = fly(model, "capture.halo_px=64", "capture.window_px=256", "satellites=4")[1]
    assert all_exact(flight)
    decoder, dlrc = fly(model, "rounds=1")[0].decoder, flight.results["dlrc"]
    errors = {ring: 0.0 for ring in ("none", "ground")}
    for satellite, latents in dlrc.latents.items():
        original = flight.messages[satellite].original.astype(float)
        for ring, image in (
            ("none", synthesise(decoder.model, latents, 0)),
            ("ground", dlrc.images[satellite]),
        ):
            errors[ring] += float(((image - original) ** 2).mean())
    assert errors["ground"] < errors["none"], name


def test_a_stream_says_whether_its_latents_saw_surroundings(model):
    for halo in (0, 32):
        _, flight = fly(model, f"capture.halo_px={halo}", "satellites=2")
        assert {
            stream.header.settings.halo
            for kind in flight.results.values()
            for stream in kind.streams.values()
        } == {halo > 0}


def test_content_signatures_rebuild_exactly_what_independent_coding_rebuilds(model):
    _, flight = fly(model, "dlrc.signature=content")
    assert all_exact(flight)
    dlrc, alone = flight.results["dlrc"], flight.results["independent"]
    for satellite in alone.latents:
        assert np.array_equal(dlrc.latents[satellite], alone.latents[satellite])
        assert np.array_equal(dlrc.images[satellite], alone.images[satellite])
    assert sum(r.dlrc.y for r in flight.records) < sum(r.independent.y for r in flight.records)


def test_independent_context_decodes_each_stream_alone(model):
    fleet, flight = fly(model, "codec.context=independent")
    assert all_exact(flight)
    last = flight.messages[-1]
    alone = fleet.decoder.decode({last.telemetry.satellite: last.stream})
    assert not alone.failures  # latents are there; positions whose owner is missing are counted
    assert alone.unresolved[last.telemetry.satellite] == flight.records[-1].remote_copy


@pytest.mark.parametrize(
    "override", ["dlrc.map_coding=lzma", "dlrc.dedup=footprint", "priority.rule=random", "capture.halo_px=32"]
)
def test_other_codings_of_the_same_round_decode_too(override):
    board = load_board(load_scenario("dense", ["codec.model=mbt"]))
    _, flight = fly(("mbt", board), override)
    assert all_exact(flight)


def test_balanced_owners_decode_with_a_codec_without_context():
    board = load_board(load_scenario("dense", []))
    _, flight = fly(("bmshj", board), "priority.rule=balanced")
    assert all_exact(flight)
    assert all(record.remote_copy for record in flight.records if record.remote_copy or record.kept < 144)


def test_footprints_with_equal_pixels_and_a_wide_halo_reach_the_oracle():
    board = load_board(load_scenario("dense", []))
    _, flight = fly(("bmshj", board), "dlrc.dedup=footprint")
    assert sum(r.remote_copy for r in flight.records) == sum(r.oracle for r in flight.records)


def test_without_dlrc_the_streams_are_the_independent_ones_but_for_their_framing():
    board = load_board(load_scenario("dense", []))
    _, flight = fly(("bmshj", board), "dlrc.enabled=false", "dlrc.signature=content")
    for record in flight.records:
        assert record.remote_copy == 0
        assert record.dlrc.z == record.independent.z


def test_the_centred_grid_flies_a_whole_round():
    name = "mbt"
    board = load_board(load_scenario("dense", [f"codec.model={name}", "codec.grid=centred"]))
    _, flight = fly((name, board), "codec.grid=centred")
    assert all_exact(flight)
