"""Which of the streams heard predict a patch."""

import numpy as np
import pytest

from constellation.common.errors import UserError
from nodes.messages import Header
from nodes.streams.overlap import patch_cells, ranked, shift_px, user_order
from tests.nodes.round_cases import module_of

EVERYTHING = patch_cells(np.ones((16, 16), bool))


def header(satellite, row, col):
    return Header(satellite, 0, 0.0, 100, 0, (row, col))


OWN = header(9, 256, 256)


def test_the_first_covers_most_and_the_next_most_of_what_is_left():
    most, same_side, other_side = header(1, 256, 320), header(2, 256, 352), header(3, 256, 64)
    assert ranked(OWN, [other_side, same_side, most], EVERYTHING) == [1, 3, 2]


def test_what_does_not_overlap_is_no_reference():
    assert ranked(OWN, [header(1, 0, 0), header(2, 512, 256), header(3, 256, 511 - 8)], EVERYTHING) == [3]


def test_only_what_is_still_to_be_predicted_counts():
    kept = np.zeros((16, 16), bool)
    kept[:, 12:] = True
    left, right = header(1, 256, 128), header(2, 256, 400)
    assert ranked(OWN, [left, right], EVERYTHING) == [1, 2]
    assert ranked(OWN, [left, right], patch_cells(kept)) == [2]


def test_ties_keep_the_order_of_priority():
    assert ranked(OWN, [header(5, 256, 256), header(2, 256, 256)], EVERYTHING) == [5, 2]


def test_a_pixel_here_lies_at_the_shift_from_it_there():
    assert shift_px(OWN, header(1, 200, 300)) == (56, -44)


def test_a_rule_of_ones_own_chooses_among_those_heard_and_is_held_to_it():
    others = {1: header(1, 0, 0), 2: header(2, 0, 0)}

    def last_first(own, headers, seed, number):
        assert own is OWN and [one.satellite for one in headers] == [1, 2] and (seed, number) == (3, 4)
        return [one.satellite for one in reversed(headers)]

    with module_of("mine", good=last_first, other=lambda *_: [7], twice=lambda *_: [1, 1], bad=lambda: 0):
        assert user_order("mine:good", OWN, others, 3, 4) == [2, 1]
        for name, says in (
            ("other", "expected some of"),
            ("twice", "expected some of"),
            ("bad", "TypeError"),
        ):
            with pytest.raises(UserError, match=says):
                user_order(f"mine:{name}", OWN, others, 3, 4)
        with pytest.raises(UserError, match="AttributeError"):
            user_order("mine:missing", OWN, others, 3, 4)
