"""Random faults on tiny pictures: nothing is passed off as what it is not, and who is lost costs bytes."""

import pytest

from dlrc.studies.faults.chaos import drawn, flown
from dlrc.studies.faults.losses import LossesKeys, with_rule
from dlrc.studies.faults.losses import flown as cell
from nodes.process.board import load_board


@pytest.fixture(scope="module")
def board():
    return load_board(drawn(0).codec)


@pytest.mark.parametrize("seed", range(6))
def test_random_faults_break_no_law_and_replay(seed, board):
    found, arrived = flown(seed, board)
    assert not found.wrong
    assert flown(seed, board)[1] == arrived


def test_survivors_of_a_loss_are_repaired_for_bytes_sent_again(board):
    scenario = drawn(3).model_copy(update={"satellites": 4})
    scenario = with_rule(scenario.model_copy(update={"faults": type(scenario.faults)()}), "id")
    whole, struck = (cell(scenario, board, lost, LossesKeys(windows=1, who="first")) for lost in (0, 1))
    assert (whole.images, struck.images) == (4, 3)
    assert struck.exact + struck.repaired == 3 and struck.missing == 0
    assert whole.resent_bytes == 0 or scenario.ground.stream_loss > 0
