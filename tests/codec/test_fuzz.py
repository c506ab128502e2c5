import pytest

from benchmarks.fuzz_container import damage_sealed, fuzz, make_target, outcome

CASES = 2000


@pytest.fixture(scope="module")
def targets():
    return [make_target("bmshj", "successor", 7), make_target("mbt", "lzma", 8), make_target("elic", "successor", 9)]


def test_damaged_streams_are_refused_or_decode_to_what_was_sent(targets):
    outcomes, faults, _ = fuzz(targets, CASES, seed=1, case_s=60.0)
    assert not faults, "\n".join(faults)
    assert sum(sum(counted.values()) for counted in outcomes.values()) == CASES
    for kind in ("bit flips", "truncation", "splice"):
        assert outcomes[kind]["refused"] >= 0.95 * sum(outcomes[kind].values())
    assert outcomes["sealed y"]["refused"] > 0 and outcomes["sealed header"]["same data"] > 0


def test_streams_as_sent_decode_to_what_was_sent(targets):
    for target in targets:
        assert all(outcome(target, satellite, data) == "same data" for satellite, data in target.streams.items())


def test_sealed_damage_passes_the_checksums(targets):
    import numpy as np

    from codec.bitstream import unpack

    target, rng = targets[0], np.random.default_rng(5)
    for kind in ("sealed map", "sealed y", "sealed z"):
        assert unpack(damage_sealed(target.streams[1], target.streams[0], kind, rng)) is not None
