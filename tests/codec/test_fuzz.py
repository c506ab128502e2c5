"""A short run of benchmarks/fuzz_container.py: damaged streams are refused, or decode to what was coded."""

import pytest

from benchmarks.fuzz_container import fuzz


@pytest.mark.parametrize(("models", "cases"), [(["bmshj"], 400), (["mbt"], 40), (["elic"], 30)])
def test_damaged_streams_are_refused_or_decode_to_what_was_coded(models, cases):
    outcomes, _ = fuzz(cases, models, seed=11, side=4)
    counts = {}
    for (what, outcome), count in outcomes.items():
        counts.setdefault(outcome, {})[what] = count
    assert set(counts) <= {"refused", "correct"}, counts
    assert sum(counts["refused"].values()) > cases / 2
