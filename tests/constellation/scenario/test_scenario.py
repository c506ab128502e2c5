"""Scenarios: defaults, overrides, and one clear line for every mistake."""

import pytest

from constellation.common.errors import UserError
from constellation.scenario.scenario import available_scenarios, load_scenario
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
    with pytest.raises(UserError, match="ground.silent_satellite=5: expected less than satellites=2"):
        check_inputs(load_scenario("smoke", ["ground.silent_satellite=5"]))


@pytest.mark.parametrize(
    "override,says",
    [
        ("link.tx_power_dbm=4000", "less than or equal to 200"),
        ("ground.downlink.tx_power_dbm=4000", "less than or equal to 200"),
        ("link.noise_temperature_k=1e-300", "greater than or equal to 0.01"),
        ("link.frequency_ghz=1e-300", "greater than or equal to 0.000001"),
        ("orbit.step_s=1e-6", "greater than or equal to 0.001"),
        ("orbit.altitude_km=1e30", "less than or equal to 400000"),
    ],
)
def test_physics_beyond_any_radio_or_orbit_is_refused_before_it_overflows(override, says):
    key, _, value = override.partition("=")
    with pytest.raises(UserError, match=f"{key}: found .*{says}"):
        load_scenario("edge_space_com", [override])


def test_a_date_that_yaml_took_for_a_date_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "dated.yaml").write_text("orbit:\n  epoch: 2026-01-01T00:00:00Z\n")
    with pytest.raises(UserError, match='put it in quotes, "2026-01-01'):
        load_scenario(str(tmp_path / "dated.yaml"))
