"""What satellites send and the ground decodes is what it was when digests.json was frozen (`python -m
tests.golden.freeze`)."""

import json

import pytest

from tests.golden.freeze import DIGESTS, Checkpoints, cases, differences, freeze, some_cases


@pytest.fixture(scope="module")
def weights():
    with Checkpoints() as paths:
        yield paths


@pytest.fixture(scope="module")
def expected():
    return json.loads(DIGESTS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", some_cases(), ids=lambda case: case.name)
def test_a_round_is_as_frozen(case, weights, expected):
    assert differences(freeze(case, weights), expected[case.name]) == []


def test_every_case_is_frozen_and_goldens_are_worth_having(expected):
    assert {case.name for case in cases()} == expected.keys()
    assert {case.name for case in some_cases()} <= expected.keys()
    counts = [
        satellite
        for digests in expected.values()
        if "refused" not in digests
        for satellite in digests["kept_local_remote_exact"]
    ]
    for kind in ("local", "exact", "inexact"):
        pick = {"local": lambda c: c[1], "exact": lambda c: c[3], "inexact": lambda c: c[2] - c[3]}[kind]
        assert sum(map(pick, counts)) > 100, kind
