"""Grids: which combinations words and files mean, and one clear line for what is none."""

import pytest

from constellation.common.cli import read
from constellation.common.errors import UserError
from dlrc.commands.sweep import COMMAND
from dlrc.sweep.grid import load_grid


def grid_of(*words):
    return read(COMMAND, COMMAND.spell(words)).subject


def file_of(folder, text):
    path = folder / "grid.yaml"
    path.write_text(text)
    return str(path)


def test_a_key_with_commas_varies_and_the_last_one_fastest():
    grid = grid_of("dense", "dlrc.k=4,8", "rounds=1", "priority.rule=id,link")
    assert [one.name for one in grid.combinations] == [
        "dlrc.k=4 priority.rule=id",
        "dlrc.k=4 priority.rule=link",
        "dlrc.k=8 priority.rule=id",
        "dlrc.k=8 priority.rule=link",
    ]
    last = grid.combinations[-1].scenario
    assert (last.dlrc.k, last.priority.rule, last.rounds, last.name) == (8, "link", 1, "dense")


def test_commas_of_a_key_whose_value_is_several_are_its_own():
    grid = grid_of("dense", "faults.kinds=hangs,late", "scene.bands=3,2,1", "seed=1,2")
    assert grid.keys == ("seed",)
    assert grid.combinations[0].scenario.faults.kinds == ("hangs", "late")


def test_scenarios_vary_too():
    grid = grid_of("scenario=dense,sparse", "rounds=1")
    assert [one.scenario.name for one in grid.combinations] == ["dense", "sparse"]


def test_a_file_says_what_varies_and_words_come_last(tmp_path):
    text = (
        "scenario: dense\nrounds: 1\ndlrc: {rotation: dense}\nvary:\n  dlrc: {k: [4, 8]}\n  seed: [1, 2, 3]\n"
    )
    grid = grid_of(file_of(tmp_path, text), "seed=7", "codec.model=bmshj,mbt")
    assert grid.name == "grid" and grid.keys == ("dlrc.k", "codec.model") and len(grid.combinations) == 4
    assert {(one.scenario.seed, one.scenario.rounds) for one in grid.combinations} == {(7, 1)}
    assert {one.scenario.dlrc.rotation for one in grid.combinations} == {"dense"}


def test_a_scenario_of_ones_own_without_vary_is_a_grid_of_words(tmp_path):
    grid = grid_of(file_of(tmp_path, "satellites: 2\n"), "seed=1,2")
    assert [one.scenario.satellites for one in grid.combinations] == [2, 2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vary: {seed: [1]}", "scenario: found '', expected the name"),
        ("scenario: dense\nvary: 3", "vary: found 3, expected keys of a scenario"),
        ("scenario: dense\nvary: {seed: 3}", "vary: seed: found 3, expected a list"),
        ("scenario: dense\nvary: {priority.trust: [true]}", "a file cannot trust itself"),
        ("scenario: dense\npriority: {trust: true}\nvary: {seed: [1]}", "a file cannot trust itself"),
        ("scenario: dense\nvary: {dlrc.kk: [1]}", "dlrc.kk: unknown key; did you mean dlrc.k?"),
        ("scenario: dense\nvary: {dlrc.k: [8, 0]}", "dlrc.k: found 0"),
        ("scenario: dense\nvary: {seed: [1, 1]}", "seed: '1' stands there twice"),
    ],
)
def test_what_is_no_grid_is_one_line(text, expected, tmp_path):
    with pytest.raises(UserError) as caught:
        load_grid(file_of(tmp_path, text), [])
    assert expected in str(caught.value) and "\n" not in str(caught.value)
