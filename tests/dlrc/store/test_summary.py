"""The summary adds up, whatever the order of its records, and keeps the fields that were promised."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlrc.store.summary import summarise
from ground.records import Ledger, Outcome, SectionBytes
from tests.dlrc.run_cases import FACTS, FIRST, ROUNDS, one_round, record, scenario


def summary_of(rounds, *words):
    return summarise(scenario(*words), FACTS, rounds)


def test_the_summary_has_every_field_that_was_promised():
    values = json.loads(summary_of(ROUNDS).model_dump_json())
    assert {
        "scenario",
        "seed",
        "satellites",
        "rounds",
        "model",
        "scene",
        "bpp",
        "saving_pct",
        "quality",
        "positions",
        "sync",
        "decode",
    } <= set(values)
    assert set(values["model"]) == {"name", "lambda", "weights_sha256"} and set(values["scene"]) == {
        "source",
        "hidden_pct",
        "real",
    }
    assert {"y", "z", "total"} <= set(values["bpp"]["independent"])
    assert {"y", "z", "map", "prediction", "header", "total"} == set(values["bpp"]["dlrc"])
    assert {"y", "total"} <= set(values["saving_pct"])
    assert all(set(values["quality"][side]) == {"psnr_db", "ms_ssim"} for side in ("independent", "dlrc"))
    assert {"kept", "local_copy", "remote_copy", "oracle"} <= set(values["positions"])
    assert set(values["sync"]) == {"payload_bytes", "noise", "t_sync_s", "t_round_s"} and set(
        values["sync"]["t_sync_s"]
    ) == {"mean", "max"}
    assert set(values["decode"]) == {"streams", "exact", "failed", "independent", "resent_bytes"}


def test_ratios_are_of_sums():
    summary = summary_of(ROUNDS)
    assert summary.bpp.independent.y == pytest.approx(8 * 8000 / (4 * 65536))
    assert summary.bpp.dlrc.total == pytest.approx(8 * (4002 + 4 * 170) / (4 * 65536))
    assert summary.saving_pct.y == pytest.approx(100 * (1 - 4002 / 8000))
    assert summary.saving_pct.y_of_oracle == pytest.approx(summary.saving_pct.y / 0.5)
    assert summary.positions.kept == pytest.approx(
        150 / 256
    ) and summary.positions.remote_of_oracle == pytest.approx(100 / 128)
    assert (summary.sync.payload_bytes, summary.sync.t_round_s.mean, summary.sync.t_sync_s.max) == (
        2057,
        pytest.approx(0.07),
        0.09,
    )
    assert (summary.downlink.time_s.mean, summary.downlink.time_s.max) == (400.5, 401)
    assert summary.decode.model_dump() == {
        "streams": 4,
        "exact": 4,
        "failed": 0,
        "independent": 0,
        "resent_bytes": 0,
    }


@settings(max_examples=20, deadline=None)
@given(st.permutations(FIRST), st.permutations([0, 1]))
def test_the_order_of_records_does_not_matter(records, turns):
    rounds = [one_round(0, *records), ROUNDS[1]]
    assert summary_of([rounds[turn] for turn in turns]) == summary_of(ROUNDS)


def test_failures_and_missing_images_show_and_leave_the_rest_standing():
    broken = record(1, 1, outcome=Outcome.INCOMPLETE, quality_dlrc=None)
    summary = summary_of([ROUNDS[0], one_round(1, record(1, 0), broken)])
    assert (summary.decode.exact, summary.decode.failed) == (3, 1) and summary.quality.dlrc.psnr_db == 32.0
    blind = summary_of([one_round(0, record(0, 0, quality_dlrc=None, oracle=0, transmission_s=None))])
    assert blind.quality.dlrc.psnr_db is None and blind.saving_pct.y_of_oracle is None


def test_a_run_of_nothing_has_no_summary():
    with pytest.raises(ValueError, match="no record"):
        summary_of([])


def test_a_stream_that_was_replaced_is_no_exact_one_and_its_bytes_count_once():
    replaced = record(
        0,
        1,
        outcome=Outcome.INDEPENDENT,
        ledger=Ledger(1171, 2136, 3307, 0),
        dlrc=SectionBytes(3001, 200, 30, 76),
    )
    decode = summary_of([one_round(0, record(0, 0), replaced)]).decode
    assert (decode.exact, decode.independent, decode.failed, decode.resent_bytes) == (1, 1, 0, 0)
    resent = record(0, 1, outcome=Outcome.RESENT, ledger=Ledger(1171, 1171, 1171, 1171))
    decode = summary_of([one_round(0, record(0, 0), resent)]).decode
    assert (decode.exact, decode.independent, decode.resent_bytes) == (2, 0, 1171)


def test_a_satellite_that_never_downlinks_counts_on_neither_side():
    silent = record(0, 0, outcome=Outcome.LOST, ledger=Ledger(1170, 0, 0, 1170), transmission_s=1e6)
    both, one = (summary_of([one_round(0, *some)]) for some in ((silent, FIRST[1]), (FIRST[1],)))
    assert both.saving_pct == one.saving_pct and both.bpp == one.bpp and both.positions == one.positions
    assert both.downlink == one.downlink
    assert summary_of([one_round(0, silent)]).saving_pct.total == 0


def test_how_many_pixels_are_hidden_is_said_and_they_count_for_nothing():
    half = [replace(one, pixels=one.pixels // 2, hidden=one.pixels // 2) for one in FIRST]
    summary, whole = summary_of([one_round(0, *half)]), summary_of(ROUNDS[:1])
    assert summary.scene.hidden_pct == 50 and whole.scene.hidden_pct == 0
    assert summary.bpp.dlrc.total == pytest.approx(2 * whole.bpp.dlrc.total)
