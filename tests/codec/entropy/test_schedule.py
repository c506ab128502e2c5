"""Coding order: wavefront depth, what each family codes first, and the joint schedule of a round."""

import numpy as np
import pytest

from codec.entropy.layouts import FILL, KNOWN, ContextLayout
from codec.entropy.schedule import (
    RASTER_WINDOW,
    coding_order,
    is_anchor,
    joint_schedule,
    layout_fault,
    neighbours,
    resolve,
)
from constellation.common.errors import BitstreamError
from tests.codec.entropy.entropy_cases import FAMILIES, mixed_layout
from tests.codec.entropy.entropy_reference import order_of_parity, plain_order


def _copies_of(other: int, height: int = 8, width: int = 8, every: int = 2) -> ContextLayout:
    """Every second position an exact copy of the same position of image `other`, the rest kept."""
    source = np.arange(height * width, dtype=np.int32)
    source[::every] = KNOWN
    reference = np.stack((np.full(height * width, other), np.arange(height * width)), axis=1)
    return ContextLayout(height, width, source, reference)


def _joint(family, layouts, passes=10):
    orders = [coding_order(family, layout) for layout in layouts]
    return orders, joint_schedule(family, layouts, orders, resolve(layouts, [0] * len(layouts)), passes)


def test_sixteen_by_sixteen_kept_positions_take_sixty_one_steps():
    assert coding_order("mbt", ContextLayout.all_kept(16, 16)).groups == 61


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(3))
def test_order_is_the_plain_definition_s(family, seed):
    layout = mixed_layout(family, seed, 7, 9)
    expected = plain_order(family, layout)
    if family == "elic":
        expected = order_of_parity(expected, 9, False) + order_of_parity(expected, 9, True)
    assert coding_order(family, layout).positions.tolist() == expected


def test_no_position_of_a_group_is_in_the_window_of_another():
    layout = mixed_layout("mbt", 5, 16, 16)
    order, window = coding_order("mbt", layout), neighbours(16, 16, RASTER_WINDOW)
    for g in range(order.groups):
        group = order.group(g)
        cells = window[group]
        seen = layout.source[cells[cells < 256]]
        assert not np.isin(seen, group).any()


def test_nothing_kept_is_no_group():
    layout = ContextLayout(4, 4, np.full(16, FILL))
    assert coding_order("mbt", layout).groups == 0 and len(coding_order("elic", layout).positions) == 0


def test_anchors_are_the_even_positions():
    assert is_anchor(2, 3).tolist() == [True, False, True, False, True, False]


@pytest.mark.parametrize("source", ([1, 1], [0, 0, 1], [5, 1], [-3, 1]))
def test_a_layout_that_means_nothing_is_refused(source):
    with pytest.raises(ValueError, match="layout"):
        layout = ContextLayout(1, len(source), np.array(source))
        coding_order("mbt", layout)


def test_context_map_follows_copies_and_zeroes_fills():
    layout = ContextLayout(1, 6, np.array([0, 0, FILL, 2, KNOWN, 4]))
    assert layout.context_map(np.arange(1, 7).reshape(1, 1, 6)).tolist() == [[[1, 1, 0, 0, 5, 5]]]


def test_independent_streams_share_every_step():
    _, joint = _joint("mbt", [ContextLayout.all_kept(16, 16)] * 8)
    assert len(joint.steps) == 61 and not joint.followers.any()


def test_a_chain_of_streams_is_a_pipeline():
    layouts = [ContextLayout.all_kept(8, 8), *(_copies_of(b) for b in range(7))]
    orders, joint = _joint("mbt", layouts)
    alone = max(order.groups for order in orders)
    assert len(joint.steps) < alone + 7 * 4  # far below the sum of all groups
    assert joint.followers[1, 0] and not joint.followers[0].any()
    _, joint = _joint("elic", layouts)
    assert len(joint.steps) <= 17


@pytest.mark.parametrize("family", ("mbt", "elic"))
def test_every_group_comes_after_what_it_needs(family):
    layouts = [ContextLayout.all_kept(8, 8), _copies_of(0), _copies_of(1, every=3), _copies_of(0, every=5)]
    orders, joint = _joint(family, layouts)
    step = {pair: number for number, pairs in enumerate(joint.steps) for pair in pairs}
    pointers = resolve(layouts, [0] * 4)
    for b, order in enumerate(orders):
        for g in range(10 if family == "elic" else order.groups):
            assert g == 0 or step[b, g] > step[b, g - 1]
            if family == "elic":
                continue
            cells = neighbours(8, 8, RASTER_WINDOW)[order.group(g)].reshape(-1)
            rows = pointers.row[pointers.first[b] + cells[cells < 64]]
            for c, p in zip(rows // 64, rows % 64, strict=True):
                if c != b:
                    other = next(h for h in range(orders[c].groups) if p in orders[c].group(h))
                    assert step[b, g] > step[int(c), other]
    if family == "elic":
        assert all(
            step[1, p] > step[0, p - 1] for p in range(1, 10)
        )  # same position, same parity: never the same pass


def test_references_are_followed_through_copies_of_copies():
    a, b, c = ContextLayout.all_kept(1, 2), _copies_of(0, 1, 2, 1), _copies_of(1, 1, 2, 1)
    pointers = resolve([a, b, c], [0, 0, 0])
    assert pointers.row[:6].tolist() == [0, 1, 0, 1, 0, 1] and pointers.image_of(
        pointers.row[4:6]
    ).tolist() == [0, 0]


def test_circular_references_are_errors():
    with pytest.raises(BitstreamError, match="circle"):
        resolve([_copies_of(1, every=1), _copies_of(0, every=1)], [0, 0])
    source = np.arange(64)
    source[0] = KNOWN  # in the window of what follows it, and coded last at the other one
    first, second = (
        ContextLayout(8, 8, source, np.stack((np.full(64, other), np.full(64, 63 - 7 * odd)), axis=1))
        for other, odd in ((1, 1), (0, 1))
    )
    with pytest.raises(BitstreamError, match="circle"):
        _joint("mbt", [first, second])
    with pytest.raises(BitstreamError, match="circle"):
        _joint("elic", [first, second])


def test_mutual_references_that_leave_a_way_are_no_circle():
    first = _copies_of(1)
    second = ContextLayout(
        8,
        8,
        np.where(np.arange(64) % 2, KNOWN, np.arange(64)),
        np.stack((np.zeros(64), np.arange(64)), axis=1),
    )
    for family in ("mbt", "elic"):
        orders, joint = _joint(family, [first, second])
        assert joint.followers[0, 1] and joint.followers[1, 0]


@pytest.mark.parametrize("reference", ((2, 0), (0, 64), (-2, 0), (-1, 0), (0, -1)))
def test_references_to_nothing_are_errors(reference):
    layout = _copies_of(0)
    bad = ContextLayout(8, 8, layout.source, np.tile(np.array(reference), (64, 1)))
    layouts = [ContextLayout.all_kept(8, 8), bad]
    assert "does not exist" in layout_fault("mbt", layouts, 1, [0, 0]) and not layout_fault(
        "mbt", layouts, 0, [0, 0]
    )
    assert "no references" in layout_fault("mbt", [ContextLayout(8, 8, layout.source)], 0, [0])
