"""Arbiter: the same answer everywhere, nothing lost, nothing twice, and exactness claimed only where it is
certain."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.entropy.encoder import EncodedLatents
from codec.maps.assignment import KEPT, LOCAL, REMOTE, validate
from codec.maps.references import follow
from constellation.scenario.load import load_scenario
from nodes.arbiter import assignments
from nodes.crew import Known, Look, Observation, Rules, View
from nodes.messages import SignatureList
from nodes.recognizer import hash_family
from nodes.selector import select
from nodes.timeline import Watch
from tests.codec.maps.map_cases import ranks

H, W, C = 4, 4, 2
_DENSE = load_scenario("dense")
RULES = Rules(0, _DENSE.codec, _DENSE.dlrc, _DENSE.priority, hash_family(0, C, 2), ())
NOTHING_CODED = EncodedLatents(b"", b"", 0, 0)
grids = st.lists(st.lists(st.integers(0, 12), min_size=H * W, max_size=H * W), min_size=1, max_size=5)


def fly(labels, order=None, heard=None, contents=None, representative="original"):
    """Selections, lists and maps of a round in which satellite s sees the ground cells labels[s]; equal
    labels, equal vectors."""
    count = len(labels)
    seen, lists = [], {}
    for s, row in enumerate(labels):
        ids = np.array(row, dtype=np.int64)
        y = np.stack([ids % 5, ids]).astype(np.float32).reshape(C, H, W)
        if contents and s in contents:
            y[0] += contents[s]
        selection = select(y, ids, ranks(H, W), representative)
        lists[s] = SignatureList.of((s, 0), 0.0, selection.signatures, selection.contents)
        nothing = np.zeros((1, 1, 1), np.uint8)
        look = Look(s, 0, nothing, nothing, ids.reshape(H, W), (0, 0, 0, 0, "made up"))
        seen.append(Observation(View(look, y, NOTHING_CODED), selection, lists[s]))
    everyone = frozenset(range(count))
    participants = {s: (heard or {}).get(s, everyone) for s in range(count)}
    maps = assignments(RULES, order or tuple(range(count)), Known(lists, participants), seen, Watch())
    return [one.selection for one in seen], lists, maps, participants


@settings(max_examples=60)
@given(grids, st.randoms())
def test_kept_sets_are_disjoint_and_cover_every_signature(labels, random):
    order = list(range(len(labels)))
    random.shuffle(order)
    selections, lists, maps, _ = fly(labels, tuple(order))
    kept = [
        set(lists[s].signatures[maps[s].fate.reshape(-1)[selections[s].positions] == KEPT].tolist())
        for s in maps
    ]
    assert sum(len(k) for k in kept) == len(set().union(*kept))
    assert set().union(*kept) == {value for row in labels for value in row}


@settings(max_examples=60)
@given(grids)
def test_every_map_is_valid_and_every_position_resolves_to_an_equal_signature(labels):
    _, _, maps, participants = fly(labels)
    for s, assignment in maps.items():
        validate(assignment, s, participants[s], ranks(H, W))
    assert_every_reference_ends_at_an_equal_signature(labels, maps)


def assert_every_reference_ends_at_an_equal_signature(labels, maps):
    cell, everywhere = follow(maps).cell, np.array([labels[s] for s in maps]).reshape(-1)
    assert (cell >= 0).all() and np.array_equal(everywhere[cell], everywhere)


@settings(max_examples=40)
@given(grids, st.data())
def test_partial_views_lose_nothing_either(labels, data):
    """Whoever heard whom, every reference ends at a vector of the same signature."""
    count = len(labels)
    heard = {s: frozenset(data.draw(st.sets(st.integers(0, count - 1)))) | {s} for s in range(count)}
    _, _, maps, _ = fly(labels, heard=heard)
    assert_every_reference_ends_at_an_equal_signature(labels, maps)


def test_unequal_contents_under_one_signature_are_marked_inexact():
    labels = [list(range(16)), list(range(16))]
    _, _, maps, _ = fly(labels, contents={1: 1.0})
    assert (maps[1].fate == REMOTE).all() and not maps[1].exact.any()
    _, _, maps, _ = fly(labels)
    assert maps[1].exact.all()


def test_exactness_is_not_claimed_over_an_owner_who_heard_someone_we_did_not():
    """C (0) is close but not equal to A (1) and B (2), who are equal. B heard A alone; A dropped its vectors
    in favour of C."""
    labels = [list(range(16))] * 3
    heard = {1: frozenset({0, 1}), 2: frozenset({1, 2})}
    _, _, maps, _ = fly(labels, heard=heard, contents={0: 1.0})
    assert (maps[2].owner == 1).all() and not maps[2].exact.any()


def test_local_copies_point_at_the_representative_even_when_it_is_remote():
    labels = [[7] + [1] * 15, [7, 7] + [2] * 14]
    _, _, maps, _ = fly(labels)
    flat = maps[1].fate.reshape(-1)
    assert flat[0] == REMOTE and flat[1] == LOCAL and maps[1].source.reshape(-1)[1] == 0
    assert flat[2] == KEPT and (flat[3:] == LOCAL).all()
