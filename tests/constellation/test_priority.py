"""Priority rules: orders that are alike everywhere, and a faulty rule told in one line."""

import sys
import types
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.common.errors import UserError
from constellation.priority import RULES, check_rule, priority_order, rule_is_total_order


@dataclass(frozen=True)
class Header:
    satellite: int
    round: int
    metric: float
    count: int
    checksum: int


def headers(metrics):
    return [Header(satellite, 3, metric, 0, 0) for satellite, metric in enumerate(metrics)]


def test_orders_follow_the_rule_and_ties_the_id():
    sent = headers([0.5, 2.0, float("nan"), 2.0])
    assert priority_order("id", sent[::-1], 0, 3) == (0, 1, 2, 3)
    assert priority_order("link", sent, 0, 3) == priority_order("energy", sent, 0, 3) == (1, 3, 0, 2)
    assert priority_order("balanced", sent, 0, 3) == (0, 1, 2, 3)


@given(st.integers(1, 20), st.integers(0, 2**63 - 1), st.integers(0, 10**6), st.randoms())
def test_every_rule_gives_the_same_permutation_whatever_the_order_of_headers(
    count, seed, round_number, random
):
    sent = headers([random.choice([0.0, 1.0]) for _ in range(count)])
    shuffled = sent[:]
    random.shuffle(shuffled)
    for rule in RULES:
        order = priority_order(rule, sent, seed, round_number)
        assert sorted(order) == list(range(count))
        assert priority_order(rule, shuffled, seed, round_number) == order


@given(st.integers(0, 2**63 - 2), st.integers(0, 1000))
def test_random_orders_change_with_the_round_and_the_seed(seed, round_number):
    sent = headers([0.0] * 40)  # 40! orders: equal by chance never
    order = priority_order("random", sent, seed, round_number)
    assert order == priority_order("random", sent, seed, round_number)
    assert order != priority_order("random", sent, seed, round_number + 1)
    assert order != priority_order("random", sent, seed + 1, round_number)


def test_only_balanced_has_no_total_order_and_is_refused_with_context():
    assert [rule for rule in RULES if not rule_is_total_order(rule)] == ["balanced"]
    check_rule("balanced")
    with pytest.raises(UserError, match=r"priority.rule=balanced.*codec.context=independent"):
        check_rule("balanced", sequential=True)


@pytest.fixture
def own_rules(monkeypatch):
    module = types.ModuleType("own_rules")
    module.backwards = lambda headers, seed, round_number: [header.satellite for header in headers][::-1]
    module.forgetful = lambda headers, seed, round_number: [0]
    module.broken = lambda headers, seed, round_number: {}["metric"]
    module.number = 3
    monkeypatch.setitem(sys.modules, "own_rules", module)


def test_a_users_rule_decides(own_rules):
    check_rule("own_rules:backwards", sequential=True)
    assert priority_order("own_rules:backwards", headers([0.0] * 3), 0, 0) == (2, 1, 0)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("lnik", "unknown rule; there are: id, link, energy, random, balanced, or module:function"),
        ("no_such_module:rule", "ModuleNotFoundError"),
        ("own_rules:nothing", "AttributeError"),
        ("own_rules:number", "found type int, expected a function of"),
        ("own_rules:forgetful", r"returned \[0\], expected an order of the satellites \[0, 1, 2\]"),
        ("own_rules:broken", "KeyError: 'metric'"),
    ],
)
def test_a_faulty_rule_is_one_line(own_rules, rule, says):
    with pytest.raises(UserError, match=f"priority.rule={rule}: {says}") as error:
        priority_order(rule, headers([0.0] * 3), 0, 0)
    assert "\n" not in str(error.value)
