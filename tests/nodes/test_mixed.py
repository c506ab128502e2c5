"""Mixed fleets: satellites with unlike encoders before one decoder."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from codec.models.checkpoint import load_checkpoint, save_checkpoint
from codec.models.encoders.files import bind, save_encoder
from codec.models.model import Widths
from codec.models.registry import build
from constellation.common.errors import UserError
from ground.round import Station, hear_round
from nodes.crew import Crew, Look, Rules
from nodes.encoder import analyse, view_of
from nodes.process.board import Board, check_decoder
from nodes.timeline import Watch
from tests.nodes.round_cases import EVERYBODY, Network, fly, scenario_of

WIDTHS = Widths(8, 24, (8, 16, 24))


@pytest.fixture(scope="module")
def boards(tmp_path_factory):
    """(of the ground, which knows elic alone; of the fleet)."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(5)
    host = build("elic", WIDTHS)
    host.g_a[-1].weight.data *= 60
    save_checkpoint(folder / "elic_lambda0.013.safetensors", host, 0.013, 1)
    other = build("rsllic", WIDTHS)
    other.g_a[-1].weight.data *= 60
    path = folder / "rsllic.safetensors"
    save_encoder(path, "rsllic", other.widths, other.net.state_dict(), {"lambda": "0.013", "steps": "1"})
    bind(path, folder / "elic_lambda0.013.safetensors")
    ground = Board(*load_checkpoint(folder / "elic_lambda0.013.safetensors"), "cpu")
    return ground, replace(ground, fleet=(ground.model, load_checkpoint(path)[0]))


def crew_of(board, numbers):
    scenario = scenario_of("elic", "codec.models=elic,rsllic")
    rules = Rules.of(scenario, board.model)

    def see(number, satellites):
        views = []
        for s in satellites:
            random = np.random.default_rng(s // 2)  # neighbours see the same ground
            picture = random.integers(0, 256, (128, 128, 3), dtype=np.uint8)
            look = Look(s, number, picture, picture, np.arange(64).reshape(8, 8), (0, 0, 0, 0, "made up"))
            views.append(view_of(board, scenario.codec, look, analyse(board, picture, 0, s)))
        return views

    watch = Watch.of(scenario.clock, scenario.capture, scenario.codec.flown, scenario.dlrc.k)
    return Crew(tuple(numbers), board, rules, Network(), watch, see)


def test_one_decoder_serves_satellites_with_unlike_encoders_whatever_the_crews(boards):
    ground, fleet = boards
    flown = {}
    for split in ([EVERYBODY], [(0, 1, 2), (3, 4)]):
        crews = [crew_of(fleet, numbers) for numbers in split]
        products, tasks, _ = fly(crews, ground=hear_round(Station(ground), 0))
        streams = {(s, 0): product.stream for s, product in products.items()}
        decoded = Station(ground).decode(streams)
        assert {s for s, _ in decoded.whole} == set(EVERYBODY)
        for s, task in tasks.items():
            assert decoded.latents[s, 0].shape == task.observation.view.y.shape
        flown[len(split)] = {s: product.stream for s, product in products.items()}
    assert flown[1] == flown[2]
    y = {s: tasks[s].observation.view.y for s in EVERYBODY}
    assert not np.array_equal(y[0], y[1]) and tasks[1].assignment.shape == (8, 8)


def test_the_clock_knows_which_encoder_a_satellite_flies():
    scenario = scenario_of("elic", "codec.models=elic,rsllic")
    watch = Watch.of(scenario.clock, scenario.capture, scenario.codec.flown, scenario.dlrc.k)
    times = [watch.times(s) for s in range(3)]
    assert times[1].analysis_s < times[0].analysis_s == times[2].analysis_s
    assert times[1].entropy_modelling_s == times[0].entropy_modelling_s


def test_an_encoder_with_another_decoder_is_refused():
    check_decoder("rsllic", ("elic", ""), ("ab" * 32, "ab" * 32))
    with pytest.raises(UserError, match=r"codec\.models: rsllic has another decoder"):
        check_decoder("rsllic", ("bmshj", ""), ("ab" * 32, "cd" * 32))
