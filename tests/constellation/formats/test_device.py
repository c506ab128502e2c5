"""Compute times of a board, out of a YAML file."""

import pytest

from constellation.common.errors import UserError
from constellation.formats.device import DeviceFile, StageTimes, read_device, write_device
from constellation.scenario.load import load_scenario
from nodes.timeline import Watch

TIMES = StageTimes(analysis_ms=70, hyperprior_ms=3, coding_ms=52)
BOARD = DeviceFile(
    name="ours", source="a stopwatch", patch_px=256, k=20, hash_ms=3, arbitrate_ms=1, models={"elic": TIMES}
)


def test_what_was_written_is_read_and_priced_by_area_and_hash_rounds(tmp_path):
    write_device(BOARD, tmp_path / "board.yaml")
    device = read_device(str(tmp_path / "board.yaml"))
    times = device.compute_times("elic", 512, 10)
    found = (
        times.analysis_s,
        times.hash_s,
        times.arbitrate_s,
        times.entropy_modelling_s,
        times.entropy_coding_s,
    )
    assert found == pytest.approx((0.28, 0.006, 0.004, 0.012, 0.208))
    assert (device.name, device.source, times.hyperprior_s) == ("ours", "a stopwatch", pytest.approx(0.012))


def test_a_run_takes_the_board_s_times(tmp_path):
    write_device(BOARD, tmp_path / "board.yaml")
    flown = load_scenario("dense", ["codec.model=elic", f"clock.profile={tmp_path / 'board.yaml'}"])
    watch = Watch.of(flown.clock, flown.capture, flown.codec.flown, flown.dlrc.k)
    assert not watch.measures and watch.times(0).analysis_s == pytest.approx(0.07)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("hash_ms", "-3", "hash_ms: found -3"),
        ("models", "{elic: 3}", "models.elic: found 3, expected a section of keys"),
        ("models", "{elic: {analysis_ms: 1, coding_ms: 1}}", "models.elic: hyperprior_ms: missing"),
        ("models", "{}", "models"),
        ("names", "x", "names: unknown key"),
    ],
)
def test_a_wrong_board_is_one_line_that_names_the_file_and_the_field(tmp_path, field, value, told):
    told_of = {"name": "ours", "source": "a watch", "hash_ms": "3", "arbitrate_ms": "1"}
    told_of |= {"models": "{elic: {analysis_ms: 1, hyperprior_ms: 1, coding_ms: 1}}", field: value}
    (tmp_path / "board.yaml").write_text("\n".join(f"{key}: {text}" for key, text in told_of.items()))
    with pytest.raises(UserError, match=f"board.yaml: {told}"):
        read_device(str(tmp_path / "board.yaml"))


def test_a_model_that_the_board_has_no_times_for_is_refused_before_anything_starts(tmp_path):
    write_device(BOARD, tmp_path / "board.yaml")
    flown = load_scenario("dense", [f"clock.profile={tmp_path / 'board.yaml'}"])
    with pytest.raises(UserError, match=r"no times for the model bmshj; there are: elic"):
        Watch.of(flown.clock, flown.capture, flown.codec.flown, flown.dlrc.k)
