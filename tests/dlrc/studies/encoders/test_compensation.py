"""The study of compensation: what a gain is worth, and that nothing is gained by nothing."""

import numpy as np
import pytest

from codec.training.evaluate import LOSSLESS
from constellation.common.errors import UserError
from dlrc.studies.encoders.compensation import detail, next_higher, table, worth


def rows():
    """Two patches a scene; `half` gains half of what the next higher lambda does, for 44 % more rate."""
    found = []
    for place, scene in enumerate(LOSSLESS):
        for patch in (0.0, 0.5):
            plain = 30.0 + place + patch
            for name, gain, bpp in (("none", 0, 0.5), ("half", 1, 0.5), ("higher", 2, 0.72)):
                told = {"bpp": bpp, "psnr_db": plain + gain, "ms_ssim": 0.97, "detail_pct": 90.0}
                found.append({"scene": scene, "made_by": name, **told})
    return found


def test_half_of_the_gain_is_worth_the_root_of_the_rate():
    assert worth(rows(), "higher").value == pytest.approx(44)
    assert worth(rows(), "half").value == pytest.approx(20)
    assert worth(rows(), "none").value == pytest.approx(0, abs=1e-9)


def test_the_table_has_a_row_for_each_and_no_gain_for_none():
    lines = table(rows(), ["none", "half"]).splitlines()
    assert lines[2].split("|")[3].strip() == "" and "+1.000 [+1.000, +1.000]" in lines[3]


def test_detail_is_of_the_original():
    picture = np.random.default_rng(0).integers(0, 200, (16, 16, 3), dtype=np.uint8)
    assert detail(picture, picture) == 100
    assert detail(picture // 2, picture) == pytest.approx(50, abs=2)


def test_the_highest_lambda_has_none_above():
    assert next_higher("bmshj", 0.013) == 0.025
    with pytest.raises(UserError, match="no higher one ships"):
        next_higher("bmshj", 0.0483)
