"""Who owns a signature: laws that arbitration rests on, whatever the lists."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nodes.arbiter import owners_of

signatures = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 12)
rounds = st.lists(st.lists(signatures, max_size=20), min_size=1, max_size=6)


def arrays(lists):
    return [np.array(entries, dtype=np.int64) for entries in lists]


def assign_owners(lists, satellites, order, rule="id", complete=True, rate_bps=None):
    """`owners_of` by place: owners of every list, and indexes of every list."""
    found = owners_of(dict(zip(satellites, lists, strict=True)), order, rule, complete, rate_bps)
    return tuple([found[satellite][part] for satellite in satellites] for part in (0, 1))


@given(rounds, st.sampled_from(["id", "balanced"]), st.booleans(), st.randoms())
def test_every_signature_has_one_owner_that_holds_it_at_the_given_index(lists, rule, complete, random):
    order = list(range(len(lists)))
    random.shuffle(order)
    sent = arrays(lists)
    owners, indexes = assign_owners(sent, range(len(lists)), order, rule, complete)
    owner_of = {}
    for entries, owner, index in zip(lists, owners, indexes):
        assert (
            owner.dtype == np.int16
            and index.dtype == np.int32
            and owner.shape == index.shape == (len(entries),)
        )
        for signature, who, where in zip(entries, owner, index):
            assert owner_of.setdefault(signature, who) == who
            assert lists[who].index(signature) == where  # the first entry of a duplicate
    assert set(owner_of) == {signature for entries in lists for signature in entries}


@given(rounds, st.randoms())
def test_the_owner_is_the_first_in_the_order_that_holds_the_signature(lists, random):
    order = list(range(len(lists)))
    random.shuffle(order)
    for entries, owner in zip(lists, assign_owners(arrays(lists), range(len(lists)), order)[0]):
        assert owner.tolist() == [
            next(satellite for satellite in order if signature in lists[satellite]) for signature in entries
        ]


@given(rounds, st.sampled_from(["id", "balanced"]), st.booleans(), st.randoms())
def test_the_order_in_which_lists_arrive_does_not_matter(lists, rule, complete, random):
    satellites = list(range(len(lists)))
    shuffled = satellites[:]
    random.shuffle(shuffled)
    owners, indexes = assign_owners(arrays(lists), satellites, satellites, rule, complete)
    again = assign_owners(
        [np.array(lists[s], dtype=np.int64) for s in shuffled], shuffled, satellites, rule, complete
    )
    for position, satellite in enumerate(shuffled):
        np.testing.assert_array_equal(again[0][position], owners[satellite])
        np.testing.assert_array_equal(again[1][position], indexes[satellite])


@given(rounds, st.randoms())
def test_renaming_satellites_renames_the_owners(lists, random):
    new_name = list(range(len(lists)))
    random.shuffle(new_name)
    owners, _ = assign_owners(arrays(lists), range(len(lists)), range(len(lists)))
    renamed, _ = assign_owners(arrays(lists), new_name, new_name)  # the order renamed as well
    for before, after in zip(owners, renamed):
        assert [new_name[owner] for owner in before] == after.tolist()


@given(rounds, st.sampled_from(["id", "balanced"]), st.data())
def test_under_partial_views_every_chain_of_references_ends_at_a_keeper(lists, rule, data):
    """B may be sent to A by its own view, and A to C by its; following a signature must never go round in a
    circle."""
    everyone = list(range(len(lists)))
    heard = {s: sorted(data.draw(st.sets(st.sampled_from(everyone))) | {s}) for s in everyone}
    views = {}
    for s in everyone:
        owners, _ = assign_owners(
            arrays([lists[o] for o in heard[s]]), heard[s], everyone, rule, complete=False
        )
        views[s] = dict(zip(lists[s], owners[heard[s].index(s)].tolist()))
    for s in everyone:
        for signature in lists[s]:
            at, seen = s, set()
            while views[at][signature] != at:
                assert at not in seen
                seen.add(at)
                at = views[at][signature]


def test_balanced_spreads_what_all_hold_and_leaves_alone_what_one_holds():
    shared, alone = np.arange(60), np.arange(100, 130)
    owners, _ = assign_owners(
        [np.concatenate([shared, alone]), shared, shared], [0, 1, 2], [0, 1, 2], "balanced", complete=True
    )
    everyone_keeps = [int((owners[s] == s).sum()) for s in range(3)]
    assert everyone_keeps == [30, 30, 30]


def test_balanced_gives_a_faster_downlink_more():
    shared = np.arange(90)
    owners, _ = assign_owners([shared, shared], [0, 1], [0, 1], "balanced", True, {0: 2e8, 1: 1e8})
    assert [int((owners[0] == s).sum()) for s in range(2)] == [60, 30]


@given(rounds)
def test_balanced_never_has_a_longer_busiest_list_than_the_id_rule(lists):
    lists = [sorted(set(entries)) for entries in lists]

    def busiest(rule):
        owners, _ = assign_owners(arrays(lists), range(len(lists)), range(len(lists)), rule, complete=True)
        return max(int((owner == satellite).sum()) for satellite, owner in enumerate(owners))

    assert busiest("balanced") <= busiest("id")


def test_a_thousand_satellites_are_arbitrated_as_eight_are():
    rng = np.random.Generator(np.random.Philox(1))
    lists = [rng.integers(0, 5000, size=256) for _ in range(1024)]
    for rule in ("id", "balanced"):
        owners, indexes = assign_owners(lists, range(1024), range(1024), rule, complete=True)
        flat, entry = np.concatenate(owners), np.concatenate(lists)
        stacked = np.stack(lists)
        np.testing.assert_array_equal(stacked[flat, np.concatenate(indexes)], entry)
    kept = np.bincount(
        np.concatenate(owners)[np.unique(np.concatenate(lists), return_index=True)[1]], minlength=1024
    )
    assert kept.max() <= 6  # 5000 signatures over 1024 satellites


def test_balanced_owners_level_the_load():
    shared = np.arange(300, dtype=np.int64)
    owners, _ = assign_owners([shared, shared, shared], [0, 1, 2], [0, 1, 2], "balanced")
    assert np.bincount(owners[0], minlength=3).tolist() == [100, 100, 100]
