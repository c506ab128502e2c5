"""What is noted beside a round: classical codecs on the same patches, at rates that rise with quality; what
other rules of priority would have done."""

import numpy as np

from constellation.orbit.orbits import load_constellation
from dlrc.store.beside import classical_points, rules_told
from tests.dlrc.run_cases import ROUNDS, scenario


def test_classical_codecs_spend_more_bits_for_more_quality():
    rows, columns = np.mgrid[:128, :128]
    tone = (
        128 + 60 * np.sin(rows / 7) * np.cos(columns / 11) + np.random.default_rng(0).normal(0, 6, (128, 128))
    )
    image = np.repeat(np.clip(tone, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    points = classical_points([(image, None)] * 2, 34.0)
    for codec in ("jpeg2000", "webp"):
        mine = [point for point in points if point.codec == codec]
        assert len(mine) == 3 and all(point.patches == 2 for point in mine)
        assert [p.bpp for p in mine] == sorted(p.bpp for p in mine)
        assert [p.psnr_db for p in mine] == sorted(p.psnr_db for p in mine)


def test_pictures_of_other_than_three_bands_have_no_classical_points():
    assert classical_points([(np.zeros((64, 64, 4), np.uint8), None)], 34.0) == ()
    assert classical_points([], 34.0) == ()


def told(*words):
    asked = scenario(*words)
    return rules_told(asked, load_constellation(asked.orbit), ROUNDS[0])


def test_every_rule_is_told_and_all_of_them_send_the_same_bytes_in_all():
    rules = told()
    assert [one.rule for one in rules] == ["id", "link", "energy", "random", "balanced"]
    independent = ROUNDS[0].satellites[0].independent.total
    for one in rules:
        assert sorted(one.order) == [0, 1] and 0.5 <= one.fairness <= 1
        assert sum(one.kept_bytes) == np.float64(sum(rules[0].kept_bytes))
        assert max(one.kept_bytes) <= independent
        assert 0 < one.first_s <= one.last_s
    assert max(rules[-1].kept_bytes) <= max(rules[0].kept_bytes)


def test_no_rule_is_told_where_nobody_shares_or_streams_are_exchanged_or_no_station_is_passed():
    assert told("dlrc.enabled=false") == ()
    assert told("dlrc.exchange=streams", "dlrc.dedup=hybrid") == ()
    assert told("ground.latitude_deg=89") == ()
