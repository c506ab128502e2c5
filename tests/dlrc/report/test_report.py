"""The summary adds up, is written whole or not at all, and the table fits its terminal."""

import dataclasses
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlrc.report.table import print_table, read_summary, write_summary
from dlrc.results import RunFacts, summarise
from ground.metrics import Quality
from ground.records import Ledger, Outcome, RoundRecord, SatelliteRecord, SectionBytes

FACTS = RunFacts(
    scenario="dense",
    seed=0,
    satellites=2,
    rounds=2,
    context="exact",
    model="bmshj",
    lambda_=0.013,
    weights_sha256="ab" * 32,
    scene_source="built-in procedural scene, seed 0; give scene.path= for real images",
    scene_real=False,
    noise="ktb",
    wall_s=61.25,
    peak_rss_mib=5120.0,
)


def record(round, satellite, **changes):
    values = dict(
        round=round,
        satellite=satellite,
        outcome=Outcome.EXACT,
        ledger=Ledger(1170 + satellite, 0, 1170 + satellite, 0),
        pixels=65536,
        dlrc=SectionBytes(1000.0 + satellite, 100, 30, 40),
        independent=SectionBytes(2000, 100, 0, 36),
        kept=150,
        local_copy=6,
        remote_copy=100,
        oracle=128,
        quality_dlrc=Quality(32.0, 0.97),
        quality_independent=Quality(32.1, 0.971),
        payload_bytes=2056 + 2 * round,
        t_sync_s=0.04,
        transmission_s=400.0 + round,
    )
    return SatelliteRecord(**{**values, **changes})


def one_round(number, *records):
    return RoundRecord(number, records, (0, 1), 0.05 + 0.04 * number)


FIRST = (record(0, 0), record(0, 1, t_sync_s=0.05))
ROUNDS = [one_round(0, *FIRST), one_round(1, record(1, 0), record(1, 1, t_sync_s=0.09))]


def table(summary, width=None):
    file = io.StringIO()
    print_table(summary, "runs/dense-0123abcd", file=file, width=width)
    return file.getvalue()


def test_the_summary_has_every_field_that_was_promised(tmp_path):
    write_summary(summarise(FACTS, ROUNDS), tmp_path / "summary.json")
    values = json.loads((tmp_path / "summary.json").read_text())
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
        "wall_s",
        "peak_rss_mib",
    } <= set(values)
    assert set(values["model"]) == {"name", "lambda", "weights_sha256"} and set(values["scene"]) == {
        "source",
        "hidden_pct",
        "real",
    }
    assert {"y", "z", "total"} <= set(values["bpp"]["independent"])
    assert {"y", "z", "map", "header", "total"} == set(values["bpp"]["dlrc"])
    assert {"y", "total"} <= set(values["saving_pct"])
    assert all(set(values["quality"][side]) == {"psnr_db", "ms_ssim"} for side in ("independent", "dlrc"))
    assert {"kept", "local_copy", "remote_copy", "oracle"} <= set(values["positions"])
    assert set(values["sync"]) == {
        "payload_bytes",
        "noise",
        "t_sync_s",
        "t_round_s",
    } and set(values["sync"]["t_sync_s"]) == {"mean", "max"}
    assert set(values["decode"]) == {
        "streams",
        "exact",
        "failed",
        "independent",
        "resent_bytes",
    }


def test_ratios_are_of_sums():
    summary = summarise(FACTS, ROUNDS)
    assert summary.bpp.independent.y == pytest.approx(8 * 8000 / (4 * 65536))
    assert summary.bpp.dlrc.total == pytest.approx(8 * (4002 + 4 * 170) / (4 * 65536))
    assert summary.saving_pct.y == pytest.approx(100 * (1 - 4002 / 8000))
    assert summary.saving_pct.y_of_oracle == pytest.approx(summary.saving_pct.y / 0.5)
    assert summary.positions.kept == pytest.approx(
        150 / 256
    ) and summary.positions.remote_of_oracle == pytest.approx(100 / 128)
    assert (
        summary.sync.payload_bytes,
        summary.sync.t_round_s.mean,
        summary.sync.t_sync_s.max,
    ) == (
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
    assert summarise(FACTS, [rounds[turn] for turn in turns]) == summarise(FACTS, ROUNDS)


def test_rates_of_open_context_are_labelled_an_estimate():
    summary = summarise(dataclasses.replace(FACTS, context="open"), ROUNDS)
    assert (
        summary.bpp.kind == "estimate"
        and "bpp (estimate)" in table(summary)
        and "rates are an estimate" in table(summary)
    )
    assert "estimate" not in table(summarise(FACTS, ROUNDS))


def test_failures_and_missing_images_show_and_leave_the_rest_standing():
    broken = record(1, 1, outcome=Outcome.INCOMPLETE, quality_dlrc=None)
    summary = summarise(FACTS, [ROUNDS[0], one_round(1, record(1, 0), broken)])
    assert (summary.decode.exact, summary.decode.failed) == (
        3,
        1,
    ) and summary.quality.dlrc.psnr_db == 32.0
    assert "3 of 4 streams exactly, 1 FAILED" in table(summary)
    blind = summarise(
        FACTS,
        [one_round(0, record(0, 0, quality_dlrc=None, oracle=0, transmission_s=None))],
    )
    assert blind.quality.dlrc.psnr_db is None and blind.saving_pct.y_of_oracle is None
    assert "not simulated" in table(blind)


def test_a_run_of_nothing_has_no_summary():
    with pytest.raises(ValueError, match="no record"):
        summarise(FACTS, [])


def test_a_stream_that_was_replaced_is_no_exact_one_and_its_bytes_count_once():
    replaced = record(
        0,
        1,
        outcome=Outcome.INDEPENDENT,
        ledger=Ledger(1171, 2136, 3307, 0),
        dlrc=SectionBytes(3001, 200, 30, 76),
    )
    decode = summarise(FACTS, [one_round(0, record(0, 0), replaced)]).decode
    assert (decode.exact, decode.independent, decode.failed, decode.resent_bytes) == (
        1,
        1,
        0,
        0,
    )
    resent = record(0, 1, outcome=Outcome.RESENT, ledger=Ledger(1171, 1171, 1171, 1171))
    decode = summarise(FACTS, [one_round(0, record(0, 0), resent)]).decode
    assert (decode.exact, decode.independent, decode.resent_bytes) == (2, 0, 1171)


def test_the_summary_is_read_back_equal_and_no_temporary_file_stays(tmp_path):
    summary = summarise(FACTS, ROUNDS)
    write_summary(summary, tmp_path / "summary.json")
    assert read_summary(tmp_path / "summary.json") == summary
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


@pytest.mark.parametrize("context", ["exact", "open"])
@pytest.mark.parametrize("width", [80, 120])
def test_the_table_is_plain_text_within_the_terminal_when_piped(width, context):
    text = table(summarise(dataclasses.replace(FACTS, context=context), ROUNDS), width)
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines() if "scene" not in line) <= 80
    for piece in (
        "y bpp",
        "z bpp",
        "map bpp",
        "header bpp",
        "total bpp",
        "-50.0 %",
        "-0.100",
        "of it",
        "sync",
        "downlink",
        "runs/dense-0123abcd",
        "built-in procedural scene, seed 0; give scene.path= for real images",
    ):
        assert piece in text


def test_a_satellite_that_never_downlinks_counts_on_neither_side():
    silent = record(0, 0, outcome=Outcome.LOST, ledger=Ledger(1170, 0, 0, 1170), transmission_s=1e6)
    both, one = (summarise(FACTS, [one_round(0, *some)]) for some in ((silent, FIRST[1]), (FIRST[1],)))
    assert both.saving_pct == one.saving_pct and both.bpp == one.bpp and both.positions == one.positions
    assert both.downlink == one.downlink and "transmission alone" in table(both)
    assert summarise(FACTS, [one_round(0, silent)]).saving_pct.total == 0


def test_how_many_pixels_are_hidden_is_said_and_they_count_for_nothing():
    half = [
        dataclasses.replace(one, pixels=one.pixels // 2, hidden=one.pixels // 2)
        for one in ROUNDS[0].satellites
    ]
    summary = summarise(FACTS, [dataclasses.replace(ROUNDS[0], satellites=tuple(half))])
    whole = summarise(FACTS, ROUNDS[:1])
    assert summary.scene.hidden_pct == 50 and whole.scene.hidden_pct == 0
    assert summary.bpp.dlrc.total == pytest.approx(2 * whole.bpp.dlrc.total)
    assert "50.00 % of the pixels are hidden" in table(summary) and "hidden" not in table(whole)
