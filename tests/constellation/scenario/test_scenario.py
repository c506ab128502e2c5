"""Scenarios: defaults, overrides, and one clear line for every mistake."""

import pytest

from constellation.common.errors import UserError
from constellation.common.knobs import keys_of
from constellation.scenario.load import (
    available_scenarios,
    changed,
    load_network,
    load_scenario,
    shipped_scenarios,
    write_scenario,
)
from constellation.scenario.scenario import Scenario
from nodes.process.preflight import check_inputs


def refused(name: str, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load_scenario(name, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", available_scenarios())
def test_every_shipped_scenario_loads(name):
    assert load_scenario(name).name == name


def test_the_dense_scenario_is_the_papers():
    dense = load_scenario("dense")
    assert (dense.satellites, dense.capture.patch_px, dense.capture.window_px, dense.dlrc.k) == (
        8,
        256,
        512,
        20,
    )
    assert (
        dense.satellites * dense.capture.patch_px**2 / dense.capture.window_px**2 == 2.0
    )  # o_exp of section 4.1


def test_overrides_reach_any_depth():
    scenario = load_scenario(
        "dense",
        ["codec.model=mbt", "codec.lambda=0.025", "ground.downlink.noise=paper", "scene.path=a:b.png"],
    )
    assert (scenario.codec.model, scenario.codec.lambda_, scenario.ground.downlink.noise) == (
        "mbt",
        0.025,
        "paper",
    )
    assert scenario.scene.path == "a:b.png"


def test_ranks_share_the_satellites_out_and_whoever_starts_other_ranks_hears_what_would_fit():
    scenario = load_scenario("dense", ["satellites_per_rank=3"])
    assert scenario.ranks == 3
    assert [[*scenario.crew_of_rank(rank)] for rank in range(3)] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert scenario.digest == load_scenario("dense").digest
    has = "satellites=8 satellites_per_rank=3"
    assert scenario.said_of_ranks(2) == (has, "satellites_per_rank=4")
    assert scenario.said_of_ranks(5) == (has, "satellites=15")
    assert load_scenario("dense").said_of_ranks(2) == ("satellites=8", "satellites=2")


def test_equal_knobs_have_equal_digests_and_the_output_folder_does_not_matter():
    assert (
        load_scenario("dense", ["seed=1"]).digest
        == load_scenario("dense", ["seed=1", "output=elsewhere"]).digest
    )
    assert load_scenario("dense", ["seed=1"]).digest != load_scenario("dense", ["seed=2"]).digest


def test_an_unknown_scenario_lists_those_there_are():
    assert "dense" in refused("dens") and "sparse" in refused("dens")


def test_an_unknown_key_suggests_the_nearest():
    assert "did you mean codec.model?" in refused("dense", "codec.modle=mbt")
    assert "did you mean capture.patch_px?" in refused("dense", "patch_px=256")


@pytest.mark.parametrize(
    "override",
    [
        "seed=true",
        "seed=1.5",
        "satellites=zero",
        "capture.patch_px=100",
        "orbit.altitude_km=.nan",
        "codec.portable=1",
        "link.noise=loud",
        "capture.patch_px=12:30",
    ],
)
def test_wrong_types_and_values_name_the_key_and_what_was_found(override):
    key = override.partition("=")[0]
    assert key in refused("dense", override)


def test_an_argument_without_an_equals_sign_is_explained():
    assert "key=value" in refused("dense", "fast")


def test_a_file_that_is_no_scenario_is_refused(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("- just\n- a list\n")
    assert "found a list" in refused(str(path))
    path.write_text("a: [1, 2\n")
    assert "not YAML" in refused(str(path))


def test_numbers_may_be_written_with_an_exponent():
    assert (
        load_scenario("dense", ["capture.noise=1e0", "link.optical_rate_bps=2e10"]).link.optical_rate_bps
        == 2e10
    )


@pytest.mark.parametrize(
    "text", ["seed: 2026-02-30", "name: ../../elsewhere", 'name: ""', "timeout_s: 1.0e+300"]
)
def test_a_scenario_file_that_asks_for_the_impossible_is_refused(tmp_path, text):
    (tmp_path / "odd.yaml").write_text(text)
    assert refused(str(tmp_path / "odd.yaml"))


def test_a_silent_satellite_must_be_one_of_them():
    with pytest.raises(UserError, match=r"ground\.silent_satellite=5: expected less than satellites=2"):
        check_inputs(load_scenario("smoke", ["ground.silent_satellite=5"]))


@pytest.mark.parametrize("word", ["satellites=1:00", "seed=010", "seed=0x10", "seed=1_0"])
def test_a_number_in_another_notation_is_refused_and_not_converted(word):
    key, text = word.split("=")
    assert f"{key}: found" in refused("dense", word) and text in refused("dense", word)


def test_a_number_in_another_notation_is_refused_in_a_file_too(tmp_path):
    for text in ("satellites: 1:00", "seed: 010"):
        (tmp_path / "odd.yaml").write_text(text)
        assert text.partition(": ")[2] in refused(str(tmp_path / "odd.yaml"))


def test_three_thousand_brackets_are_one_line():
    assert "nested" in refused("dense", "dlrc.k=" + "[" * 3000)


def test_an_unquoted_date_is_read_as_it_is_written(tmp_path):
    (tmp_path / "dated.yaml").write_text("orbit: {epoch: 2026-01-01T00:00:00Z}\n")
    assert load_scenario(str(tmp_path / "dated.yaml")).orbit.epoch == "2026-01-01T00:00:00Z"
    (tmp_path / "dated.yaml").write_text("orbit: {epoch: 2026}\n")
    assert "in quotes" in refused(str(tmp_path / "dated.yaml"))


@pytest.mark.parametrize(
    ("word", "limits"),
    [
        ("link.tx_power_dbm=4000", "from -200 to 200"),
        ("ground.downlink.tx_power_dbm=4000", "from -200 to 200"),
        ("link.noise_temperature_k=1e-300", "from 0.01 to 1e9"),
        ("link.frequency_ghz=1e-300", "from 1e-6 to 1e6"),
        ("link.bandwidth_mhz=1e300", "from 1e-6 to 1e6"),
        ("orbit.step_s=1e-6", "from 0.001 to 32000000"),
        ("orbit.altitude_km=1e30", "above 0 and of at most 400000"),
        ("ground.elevation_m=1e9", "from -12000 to 100000"),
        ("sync.speed_of_light_m_s=1e-300", "from 1000 to 1e12"),
        ("topology.setup_s=1e300", "from 0 to 1e6"),
    ],
)
def test_physics_beyond_any_radio_or_orbit_is_refused_before_it_overflows(word, limits):
    assert refused("edge_space_com", word).startswith(word.partition("=")[0])
    assert f"expected a number {limits}" in refused("edge_space_com", word)


def test_a_scenario_that_names_code_says_so_and_cannot_trust_itself(tmp_path):
    path = tmp_path / "foreign.yaml"
    path.write_text("priority: {rule: 'os:getcwd'}\n")
    assert "would run code" in refused(str(path)) and "priority.trust=true" in refused(str(path))
    assert load_scenario(str(path), ["priority.trust=true"]).priority.rule == "os:getcwd"
    assert any("runs code" in note for note in load_scenario(str(path), ["priority.trust=true"]).notes)
    path.write_text("priority: {rule: 'os:getcwd', trust: true}\n")
    assert "cannot trust itself" in refused(str(path))
    assert "cannot trust itself" in refused(str(path), "priority.trust=true")


def test_trust_changes_no_result_and_is_not_written_into_files(tmp_path):
    trusting = load_scenario("dense", ["priority.trust=true"])
    assert trusting.digest == load_scenario("dense").digest
    write_scenario(trusting, tmp_path / "again.yaml")
    assert load_scenario(str(tmp_path / "again.yaml")).digest == trusting.digest
    assert not load_scenario(str(tmp_path / "again.yaml")).priority.trust


def test_a_knob_added_later_is_part_of_the_digest_only_where_it_is_used():
    plain = load_scenario("dense").digest
    assert load_scenario("dense", ["orbit.skip_bad=false"]).digest == plain
    assert load_scenario("dense", ["orbit.skip_bad=true"]).digest != plain


def test_digests_are_those_that_folders_of_earlier_runs_carry():
    assert load_scenario("dense").digest == "b7111418"
    assert load_scenario("edge_space_com").digest == "b523774b"
    assert load_scenario("smoke", ["codec.lambda=0.025", "seed=3"]).digest == "1d8a69d0"


def test_a_network_is_a_scenario_without_pictures_and_codec():
    network = load_network("dense", ["link.noise=paper"])
    assert network.link.noise == "paper" and not hasattr(network, "codec")
    with pytest.raises(UserError, match=r"codec\.model: unknown key"):
        load_network("dense", ["codec.model=mbt"])


def test_a_changed_scenario_is_checked_like_a_new_one():
    assert changed(load_scenario("dense"), rounds=2, dlrc={"k": 8}).dlrc.k == 8
    with pytest.raises(UserError, match=r"capture\.halo_px: found 10, expected a multiple of 16"):
        changed(load_scenario("dense"), capture={"halo_px": 10})


def test_a_fault_of_the_file_names_the_file_and_one_of_a_word_does_not(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("dlrc: {k: many}\n")
    assert refused(str(path), "seed=1").startswith(f"scenario {path}: dlrc.k: found 'many'")
    assert refused("dense", "dlrc.k=many").startswith("dlrc.k")


def test_every_knob_says_what_it_means():
    keys = keys_of(Scenario).values()
    assert [key.name for key in keys if not key.meaning] == []


def test_a_run_without_a_picture_is_told_how_to_give_one():
    assert "scene.path=" in load_scenario("dense").notes[0]
    assert load_scenario("dense", ["scene.path=a.png"]).notes == ()


def test_every_shipped_scenario_says_in_a_line_what_it_is():
    assert all(len(text) > 20 for text in shipped_scenarios().values())


STREAMS = ["dlrc.exchange=streams", "dlrc.dedup=hybrid"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["dlrc.dedup=hybrid"], "expected dlrc.dedup=signature or footprint, or dlrc.exchange=streams"),
        (["dlrc.exchange=streams"], "expected dlrc.dedup=conditional or hybrid, or dlrc.exchange=signatures"),
        ([*STREAMS, "codec.grid=centred"], "codec.grid=centred: dlrc.exchange=streams needs fixed"),
        ([*STREAMS, "codec.context=open"], "codec.context=open: dlrc.exchange=streams needs exact"),
        ([*STREAMS, "codec.portable=false"], "codec.portable=false: dlrc.exchange=streams needs true"),
        ([*STREAMS, "priority.rule=balanced"], "needs a rule that makes one order"),
        ([*STREAMS, "dlrc.reference_rule=nearest"], "expected bits, overlap or module:function"),
        ([*STREAMS, "dlrc.reference_rule=os:getcwd"], "would run code, getcwd of the Python module os"),
    ],
)
def test_streams_and_what_they_need_are_checked_against_each_other_in_one_line(words, says):
    assert says in refused("dense", *words)


def test_a_reference_rule_of_ones_own_needs_the_same_trust_as_a_priority_rule():
    words = [*STREAMS, "dlrc.reference_rule=os:getcwd", "priority.trust=true"]
    scenario = load_scenario("dense", words)
    assert scenario.dlrc.streams and any("dlrc.reference_rule" in note for note in scenario.notes)


def test_without_dlrc_nothing_is_exchanged_and_nothing_is_checked():
    assert not load_scenario("dense", [*STREAMS, "dlrc.enabled=false", "codec.grid=centred"]).dlrc.streams
