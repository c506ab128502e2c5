"""Cells come back equal from JSON, refuse what is none, and say where bits went and where errors are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ground.cells import Cells, JsonCells, mse_by_cell

JSON = TypeAdapter(JsonCells)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_cells_come_back_equal_from_their_json(height, width, seed):
    cells = Cells(*np.random.default_rng(seed).random((4, height, width)) * 1e6)  # the largest are capped
    assert JSON.validate_json(JSON.dump_json(cells)) == cells
    assert JSON.validate_json(JSON.dump_json(None)) is None


@pytest.mark.parametrize(
    "told",
    [
        {"height": 1, "width": 1, "data": ""},
        {"height": 1, "width": 1, "data": "not base64"},
        {"height": 1 << 20, "width": 1 << 20, "data": ""},
        {"height": -1, "width": -1, "data": ""},
        {"height": 1, "width": 1},
        [1, 2],
        "cells",
    ],
)
def test_what_is_no_cells_is_refused(told):
    with pytest.raises(ValidationError):
        JSON.validate_python(told)


def test_negative_or_infinite_cells_are_refused():
    told = JSON.dump_python(Cells(*np.full((4, 1, 1), 2.0)))
    for value in (-1.0, np.inf, np.nan):
        bad = Cells(*np.full((4, 1, 1), 2.0))
        object.__setattr__(bad, "bits", np.full((1, 1), value, "<f2"))
        with pytest.raises(ValidationError):
            JSON.validate_python({**told, "data": JSON.dump_python(bad)["data"]})


def test_the_error_of_a_cell_is_that_of_its_own_valid_pixels():
    original, decoded = np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32, 3), np.uint8)
    decoded[:16, 16:] = 4
    valid = np.ones((32, 32), bool)
    valid[:, 24:] = False
    decoded[:16, 24:] = 255
    assert mse_by_cell(original, decoded, valid, (2, 2)).tolist() == [[0.0, 16.0], [0.0, 0.0]]
    assert not mse_by_cell(original, decoded, np.zeros((32, 32), bool), (2, 2)).any()
    assert not mse_by_cell(original, None, None, (2, 2)).any()
