"""What whole commands take."""

import sys

import pytest

from benchmarks.scale.growth import Row, exponents
from benchmarks.scale.memory import taken
from constellation.common.errors import UserError

SHARING = """
import os, time
held = bytearray(os.urandom(1 << 20) * 96)
for _ in range(3):
    if not os.fork():
        sum(held[::4096]); time.sleep(2.5); os._exit(0)
time.sleep(2.5)
for _ in range(3): os.wait()
print("done")
"""


def test_pages_that_processes_share_count_once_in_the_sum_of_pss_and_whole_in_that_of_rss():
    took = taken([sys.executable, "-c", SHARING])
    assert took.processes == 4 and took.printed == "done\n"
    assert 96 < took.pss_mib < 180 and took.rss_mib > 4 * 96


def test_a_command_that_fails_is_a_line():
    with pytest.raises(UserError, match="exit code 3: gone"):
        taken([sys.executable, "-c", "import sys; print('gone', file=sys.stderr); sys.exit(3)"])


def test_exponents_are_the_slopes_of_logarithms():
    rows = [Row("rounds", n, 1, 0.0, 3.0 * n, 5.0, 0.5 * n**2, 1.0, 0.0, 7.0, n**0.5) for n in (1, 2, 8)]
    found = exponents(rows)
    assert [round(found[name], 6) for name in ("wall_s", "cpu_s", "pss_mib", "disk_bytes")] == [1, 0, 2, 0.5]
    assert found["down_bytes"] is None and found["exchanged_bytes"] == pytest.approx(0)
