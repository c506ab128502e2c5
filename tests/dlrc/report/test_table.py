"""What a console shows: the table fits its terminal, says what is an estimate, and hides no loss."""

from dataclasses import replace

import pytest

from dlrc.report.lines import opening, progress
from dlrc.report.table import table
from ground.records import Ledger, Outcome
from tests.dlrc.run_cases import FACTS, FIRST, ROUNDS, one_round, record, run, scenario

LOST = record(0, 0, outcome=Outcome.LOST, ledger=Ledger(1170, 0, 0, 1170), fates=None, fault="nothing came")


@pytest.mark.parametrize("context", ["exact", "open"])
@pytest.mark.parametrize("width", [80, 120])
def test_the_table_is_plain_text_within_the_terminal_when_piped(width, context):
    text = table(run(f"codec.context={context}"), width)
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines() if "scene" not in line) <= 100
    for piece in ("y bpp", "z bpp", "map bpp", "header bpp", "total bpp", "-50.0 %", "-0.100", "of it"):
        assert piece in text
    for piece in ("sync", "downlink", "transmission alone", FACTS.scene_source, "2 satellites of Walker"):
        assert piece in text


def test_rates_of_open_context_are_labelled_an_estimate():
    text = table(run("codec.context=open"))
    assert "bpp (estimate)" in text and "rates are an estimate" in text
    assert "estimate" not in table(run())


def test_whoever_was_lost_or_silent_is_counted_in_the_table_and_named_in_the_round_s_line():
    rounds = (one_round(0, LOST), ROUNDS[1])  # of satellite 1 there was no word in the first round
    text, line = table(run(rounds=rounds)), progress(scenario(), rounds[0])
    assert "2 exact, 1 lost, 1 of whom there was no word" in text and "1 FAILED" in text
    assert line.startswith("round 1/2: 0 of 1 streams decoded exactly")
    assert "satellite 0: nothing came" in line and "lost, no image: satellite 0" in line
    assert "no word of: satellite 1" in line
    assert "outcomes" not in table(run())


def test_a_satellite_alone_has_no_rows_about_others():
    alone = run("satellites=1", rounds=(one_round(0, record(0, 0, oracle=0)),))
    text = table(alone)
    assert "none, there is one satellite" in text and "oracle" not in text
    assert all(line.strip(" ─") for line in text.splitlines()[-5:])


def test_without_dlrc_the_table_says_that_nobody_exchanged():
    assert "none, dlrc.enabled=false" in table(run("dlrc.enabled=false"))


def test_what_links_carry_and_what_the_gathering_pads_it_to_are_both_said():
    both = one_round(0, record(0, 0, gathered_bytes=4136), record(0, 1, gathered_bytes=4136))
    assert "2056 B per satellite (4136 B as padded to the longest list)" in " ".join(
        table(run("rounds=1", rounds=(both,)), 200).split()
    )


def test_a_run_that_was_cut_short_says_so():
    text = table(run(rounds=ROUNDS[:1], facts=FACTS.model_copy(update={"wall_s": None})))
    assert "1 of 2 rounds" in text and "cut short" in text
    assert "no round" in table(run(rounds=()))


def test_the_first_line_names_constellation_codec_and_scene():
    class Model:
        n, m = 64, 96

    line = opening(scenario(), scenario().codec, FACTS, Model())
    for piece in (
        "2 satellites of Walker delta 53:1000/25/1",
        "2 rounds",
        "(N=64, M=96)",
        FACTS.scene_source,
    ):
        assert piece in line


def test_where_nothing_came_nothing_is_divided_by_it():
    assert "0 -> 0 bytes" in progress(scenario(), one_round(0, LOST))
    assert "not simulated" in table(run(rounds=(one_round(0, record(0, 0, transmission_s=None)),)))


def test_hidden_pixels_are_said_beside_the_scene():
    half = run(rounds=(one_round(0, *(replace(one, pixels=1, hidden=1) for one in FIRST)),))
    assert "50.00 % of the pixels are hidden" in table(half) and "hidden" not in table(run())
