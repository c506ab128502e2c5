"""The joint schedule of a round: every group after what it needs, nobody waits for more, circles are
named."""

import time

import numpy as np
import pytest

from codec.entropy.order import groups, neighbours
from codec.entropy.schedule import rows_of, schedule
from codec.maps.assignment import FILL, KNOWN
from tests.codec.entropy.entropy_cases import kept_everywhere, small_model


def joint(family, images):
    """(orders, rows, schedule) of images given as (known [H, W], coding cells [H * W])."""
    passes, knowns = small_model(family).passes, [known for known, _ in images]
    orders = [groups(passes, known) for known in knowns]
    rows = rows_of(knowns, np.concatenate([cell for _, cell in images]))
    return orders, rows, schedule(passes, orders, rows)


def whole(b=0, height=8, width=8):
    """Image b of a batch of images of one size, all kept."""
    cells = height * width
    return kept_everywhere(height, width), np.arange(cells) + b * cells


def copies_of(other, b, every=2, of=None):
    """Image b: every second position an exact copy of the same position of image `other` (which `of`
    codes)."""
    known, cell = (array.copy() for array in whole(b))
    known.reshape(-1)[::every] = KNOWN
    cell[::every] = np.arange(64)[::every] + 64 * (other if of is None else of)
    return known, cell


def one_copy(other, b, at, of):
    """Image b: position `at` an exact copy of position `of` of image `other`."""
    known, cell = (array.copy() for array in whole(b))
    known.reshape(-1)[at], cell[at] = KNOWN, 64 * other + of
    return known, cell


def test_known_vectors_lie_where_they_are_coded_and_fills_are_zero():
    known = np.array([[0, 0, FILL, 2, KNOWN, 4]], dtype=np.int32)
    rows = rows_of([known, whole(1, 1, 3)[0]], np.array([0, 0, -1, -1, 8, 8, 6, 7, 8]))
    assert rows.of(0).tolist() == [[0, 0, rows.zero, rows.zero, 8, 8]] and rows.of(1).tolist() == [[6, 7, 8]]
    assert rows.needs.tolist() == [[False, True], [False, False]]


def test_independent_streams_share_every_step():
    _, rows, plan = joint("mbt", [whole(b, 16, 16) for b in range(8)])
    assert len(plan.steps) == 61 and not rows.needs.any() and not plan.stuck


def test_a_chain_of_streams_is_a_pipeline():
    images = [whole(), *(copies_of(b, b + 1, 2, 0) for b in range(7))]
    orders, rows, plan = joint("mbt", images)
    assert len(plan.steps) < max(order.groups for order in orders) + 7 * 4  # far below the sum of all groups
    assert rows.needs[1, 0] and not rows.needs[0].any()
    assert len(joint("elic", images)[2].steps) <= 17


@pytest.mark.parametrize("family", ("mbt", "elic"))
def test_every_group_comes_after_what_its_windows_and_networks_see(family):
    images = [whole(), copies_of(0, 1), copies_of(1, 2, every=3), copies_of(0, 3, every=5)]
    images += [
        one_copy(0, 4, at=0, of=1),
        one_copy(4, 5, at=1, of=3),
    ]  # in a window late; in no window at all
    passes, (orders, rows, plan) = small_model(family).passes, joint(family, images)
    step = {pair: number for number, pairs in enumerate(plan.steps) for pair in pairs}
    assert len(step) == sum(order.groups for order in orders)
    when = np.full((rows.zero, passes[-1].channels.stop), -1)  # the step that each value is known after
    for (b, g), number in step.items():
        channels = passes[orders[b].passes[g]].channels
        when[rows.first[b] + orders[b].group(g), channels] = number
    for (b, g), number in step.items():
        one = passes[orders[b].passes[g]]
        cells = neighbours(8, 8, one.offsets)[orders[b].group(g)].reshape(-1)
        seen = rows.of(b).reshape(-1)[cells[cells < 64]]
        assert (when[seen[seen < rows.zero], one.channels] < number).all()
        if one.earlier is not None:
            everywhere = rows.of(b).reshape(-1)
            assert (when[everywhere[everywhere < rows.zero], : one.channels.start] < number).all()


def test_streams_that_wait_for_each_other_are_named_and_nobody_else():
    first, second = (np.array(whole(b)[0]) for b in range(2))
    cell = np.arange(192)
    first[0, 0] = second[0, 0] = KNOWN  # in the window of what follows it, and coded last at the other one
    for family, far in (("mbt", 63), ("elic", 63 - 7)):
        cell[0], cell[64] = 64 + far, far
        images = [(first, cell[:64]), (second, cell[64:128]), (whole()[0], cell[128:])]
        _, _, plan = joint(family, images)
        assert plan.stuck == {0, 1}
        assert {b for step in plan.steps for b, _ in step} == {2}


def test_mutual_references_that_leave_a_way_are_no_circle():
    second, cell = np.where(np.arange(64) % 2, KNOWN, np.arange(64)).reshape(8, 8), np.arange(64) + 64
    cell[1::2] -= 64
    for family in ("mbt", "elic"):
        _, rows, plan = joint(family, [copies_of(1, 0), (second, cell)])
        assert rows.needs.tolist() == [[False, True], [True, False]] and not plan.stuck


def test_a_circle_through_five_hundred_streams_is_found_at_once():
    images, count = [], 512
    for b in range(count):
        known, cell = (array.copy() for array in whole(b))
        known[0, 0], cell[0] = KNOWN, 64 * ((b + 1) % count) + 63
        images.append((known, cell))
    started = time.perf_counter()
    assert joint("mbt", images)[2].stuck == set(range(count))
    assert time.perf_counter() - started < 10
