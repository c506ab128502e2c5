"""Coding order of one image: wavefront depth, and what each kind of pass codes first."""

import numpy as np
import pytest
import torch
from torch import nn

from codec.entropy.order import groups, is_anchor, neighbours, rank
from codec.maps.assignment import FILL
from codec.models.model import Cells, Given, Pass
from tests.codec.entropy.entropy_cases import FAMILIES, kept_everywhere, mixed_known, small_model
from tests.codec.entropy.entropy_reference import order_of_parity, plain_order


def passes_of(family):
    return small_model(family).passes


def masked(offsets):
    """A convolution whose mask shows the cells at `offsets` (row, column) of 5 x 5."""
    layer = nn.Conv2d(1, 2, 5, padding=2)
    layer.mask = torch.zeros_like(layer.weight)
    for row, column in offsets:
        layer.mask[:, :, row + 2, column + 2] = 1
    return layer


def test_sixteen_by_sixteen_kept_positions_take_sixty_one_steps():
    assert groups(passes_of("mbt"), kept_everywhere(16, 16)).groups == 61


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(3))
def test_order_is_the_plain_definition_s(family, seed):
    known = mixed_known(family, seed, 7, 9)
    expected, passes = plain_order(family, known), passes_of(family)
    if passes[0].cells is not Cells.ALL:
        expected = [order_of_parity(expected, 9, follower) for follower in (False, True)]
    order = groups(passes, known)
    for number in range(len(passes)):
        mine = expected[number % 2] if len(passes) > 1 else expected
        assert order.of_pass(number).tolist() == mine


def test_no_position_of_a_group_is_in_the_window_of_another():
    known, (step,) = mixed_known("mbt", 5, 16, 16), passes_of("mbt")
    order, window = groups((step,), known), neighbours(16, 16, step.offsets)
    assert order.groups > 10
    for g in range(order.groups):
        group = order.group(g)
        cells = window[group]
        assert not np.isin(known.reshape(-1)[cells[cells < 256]], group).any()


def test_nothing_kept_is_no_group_of_a_wavefront_and_no_position_of_others():
    known = np.full((4, 4), FILL)
    assert groups(passes_of("mbt"), known).groups == 0 and not len(groups(passes_of("elic"), known).positions)


def test_anchors_are_the_even_positions():
    assert is_anchor(2, 3).tolist() == [True, False, True, False, True, False]


def test_rank_is_raster_or_anchors_first():
    assert rank(passes_of("mbt"), 2, 4).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert rank(passes_of("elic"), 2, 4).tolist() == [[0, 4, 1, 5], [6, 2, 7, 3]]


@pytest.mark.parametrize("source", ([1, 1], [0, 0, 1], [5, 1], [0, 9]))
def test_what_no_map_says_is_refused(source):
    with pytest.raises(ValueError, match="known"):
        groups(passes_of("mbt"), np.array([source]))


@pytest.mark.parametrize(
    ("cells", "offsets", "fine"),
    [
        (Cells.ALL, [(-1, 0), (0, -1)], True),
        (Cells.ALL, [(0, 1)], False),  # sees what comes later
        (Cells.OTHERS, [(0, 1), (1, 0)], True),  # anchors only
        (Cells.OTHERS, [(-1, -1)], False),  # others, on the checkerboard
    ],
)
def test_a_window_that_sees_what_its_own_pass_has_not_coded_is_refused(cells, offsets, fine):
    step = Pass(slice(0, 1), cells, masked(offsets), None, (Given.WINDOW,), nn.Identity())
    if fine:
        assert groups((step,), kept_everywhere(4, 4)).groups == (7 if cells is Cells.ALL else 1)
        return
    with pytest.raises(ValueError, match="look back"):
        groups((step,), kept_everywhere(4, 4))
