"""Random faults on tiny pictures: nothing is passed off as what it is not, and who is lost costs bytes."""

import pytest

from constellation.scenario.load import load_scenario
from dlrc.local import sides_of
from dlrc.studies.faults.chaos import board_of, draw_scenes, flown
from dlrc.studies.faults.losses import LossesKeys
from dlrc.studies.faults.losses import flown as cell


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return draw_scenes(tmp_path_factory.mktemp("scenes"))


@pytest.mark.parametrize("seed", range(4))
def test_random_faults_break_no_law_and_replay(seed, scenes):
    found, arrived = flown(seed, scenes)
    assert not found.wrong
    assert flown(seed, scenes)[1] == arrived


def test_survivors_of_a_loss_are_repaired_for_bytes_sent_again():
    # in so small a window the others refer to the first, who is lost
    tiny = ["capture.patch_px=64", "capture.window_px=80", "scene.size_px=192", "codec.device=cpu"]
    scenario, board = (
        load_scenario("dense", [*tiny, "satellites=4", "dlrc.signature=content"]),
        board_of("bmshj"),
    )
    whole, struck = (
        cell(scenario, sides_of(scenario, board), lost, LossesKeys(windows=1, who="first")) for lost in (0, 1)
    )
    assert (whole.images, struck.images) == (4, 3)
    assert struck.exact + struck.repaired == 3 and struck.missing == 0
    assert whole.resent_bytes == 0 < struck.resent_bytes
