"""Arbiter: the same answer everywhere, nothing lost, nothing twice, and exactness claimed only where it is
certain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.maps.assignment import KEPT, LOCAL, REMOTE, validate
from codec.maps.references import follow
from constellation.priority import RoundHeader, assign_owners, priority_order
from nodes.arbiter import arbitrate, pack_list, signature_list, unpack_list
from nodes.selector import select
from tests.codec.maps.map_cases import ranks

H, W, C = 4, 4, 2
grids = st.lists(st.lists(st.integers(0, 12), min_size=H * W, max_size=H * W), min_size=1, max_size=5)


def fly(labels, order=None, heard=None, contents=None, representative="original"):
    """Selections, lists and maps of a round in which satellite s sees the ground cells labels[s]; equal
    labels, equal vectors."""
    count = len(labels)
    selections, lists = [], {}
    for s, row in enumerate(labels):
        ids = np.array(row, dtype=np.int64)
        y = np.stack([ids % 5, ids]).astype(np.float32).reshape(C, H, W)
        if contents and s in contents:
            y[0] += contents[s]
        selections.append(select(y, ids, ranks(H, W), representative))
        lists[s] = signature_list(s, 0, 0.0, selections[s], True)
    order = order or tuple(range(count))
    everyone = frozenset(range(count))
    participants = {s: (heard or {}).get(s, everyone) for s in range(count)}
    maps = {
        s: arbitrate(
            lists[s], selections[s], (H, W), {o: lists[o] for o in participants[s]}, order, participants
        )
        for s in range(count)
    }
    return selections, lists, maps, participants


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


@given(grids)
def test_lists_survive_packing(labels):
    _, lists, _, _ = fly(labels)
    for entry in lists.values():
        back = unpack_list(pack_list(entry, H * W, True), H * W, True)
        assert back.header == entry.header
        assert np.array_equal(back.signatures, entry.signatures) and np.array_equal(
            back.contents, entry.contents
        )


def test_a_damaged_list_is_noticed():
    _, lists, _, _ = fly([list(range(16))])
    words = pack_list(lists[0], H * W, True)
    words[7] ^= 1
    with pytest.raises(RuntimeError, match="checksum"):
        unpack_list(words, H * W, True)


signature_lists = st.lists(st.lists(st.integers(0, 30), max_size=20), min_size=1, max_size=6)


@given(signature_lists, st.sampled_from(["id", "balanced"]), st.randoms())
def test_owners_hold_the_signature_at_the_index_given(lists, rule, random):
    arrays = [np.array(entries, dtype=np.int64) for entries in lists]
    order = list(range(len(lists)))
    random.shuffle(order)
    owners, indexes = assign_owners(arrays, list(range(len(lists))), order, rule)
    by_signature = {}
    for entries, owner, index in zip(arrays, owners, indexes, strict=True):
        for signature, o, i in zip(entries.tolist(), owner.tolist(), index.tolist(), strict=True):
            assert arrays[o][i] == signature
            assert by_signature.setdefault(signature, (o, i)) == (o, i)
            if rule == "id":
                assert o == min((s for s in order if signature in arrays[s]), key=order.index)
                assert i == arrays[o].tolist().index(signature)


@given(signature_lists, st.randoms())
def test_permuting_the_satellites_permutes_the_owners(lists, random):
    arrays = [np.array(entries, dtype=np.int64) for entries in lists]
    ids = list(range(len(lists)))
    shuffled = ids[:]
    random.shuffle(shuffled)
    straight = assign_owners(arrays, ids, ids)
    moved = assign_owners([arrays[s] for s in shuffled], shuffled, ids)
    for at, s in enumerate(shuffled):
        assert np.array_equal(straight[0][s], moved[0][at]) and np.array_equal(straight[1][s], moved[1][at])


def test_priority_rules_order_as_they_say():
    headers = [RoundHeader(s, 3, metric, 0, 0) for s, metric in enumerate([0.2, 0.9, 0.9, 0.1])]
    assert priority_order("id", headers, 0, 3) == (0, 1, 2, 3)
    assert priority_order("link", headers, 0, 3) == (1, 2, 0, 3)
    assert sorted(priority_order("random", headers, 0, 3)) == [0, 1, 2, 3]
    assert priority_order("random", headers, 0, 3) == priority_order("random", headers[::-1], 0, 3)
    assert len({priority_order("random", headers, 0, r) for r in range(20)}) > 5


def test_balanced_owners_level_the_load():
    shared = np.arange(300, dtype=np.int64)
    owners, _ = assign_owners([shared, shared, shared], [0, 1, 2], [0, 1, 2], "balanced")
    assert np.bincount(owners[0], minlength=3).tolist() == [100, 100, 100]
