"""Whole windows: their rounds one by one, who is unheard, what comes and goes, and the study of Figure 10."""

import csv
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from constellation.common.cli import perform, read, run
from constellation.common.errors import UserError
from constellation.links.topology import select_region, topology_at, topology_events
from constellation.orbit.orbits import load_constellation
from constellation.scenario.load import load_scenario
from constellation.sync import simulation
from constellation.sync.series import Setting
from constellation.sync.simulation import simulate
from constellation.sync.timing import sync_round
from dlrc.studies.paper.sync import COMMAND, report, request_of
from dlrc.studies.paper.sync_compare import compare_networks
from dlrc.studies.paper.sync_files import panel_title

ROOT = Path(__file__).resolve().parents[3]


def small(*overrides):
    return Setting.of(
        load_scenario(
            "edge_space_com",
            ["orbit.pattern=53:200/10/1", "orbit.duration_s=600", "orbit.step_s=120", *overrides],
        )
    )


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("link.noise=paper",),
        ("topology.rule=grid",),
        ("topology.rule=nearest",),
        ("sync.contention=shared", "link.noise=paper"),
        ("sync.schedule=tree", "link.noise=paper"),
        ("region.rule=footprint",),
        ("orbit.pattern=53:30/5/1",),
    ],
)
def test_a_window_is_its_rounds_one_by_one(overrides):
    setting = small(*overrides)
    series = simulate(setting, [2048, 131072])
    constellation = load_constellation(setting.orbit)
    positions_km = constellation.positions_itrs_km(series.times_s)
    topologies = [topology_at(p, setting.topology, setting.link, constellation) for p in positions_km]
    for t, topology in enumerate(topologies):
        members = select_region(positions_km[t], setting.region, setting.satellites)
        assert series.participants[t][series.participants[t] >= 0].tolist() == members.tolist()
        for p, size in enumerate(series.payload_bytes):
            result = sync_round(topology, members, size, setting.sync)
            heard = result.heard | result.heard.T
            together = (heard.sum(axis=1) > 1) | (len(members) == 1)  # beside itself
            expected = np.where(together, result.t_sync_s, np.nan)
            assert np.allclose(series.t_sync_s[p, t, : len(members)], expected, rtol=1e-12, equal_nan=True)
            assert (series.hops[p, t, : len(members), : len(members)] == result.hops).all()
        if t:
            assert series.events[t - 1] == topology_events(
                topologies[t - 1], topology, setting.topology, setting.link
            )


def test_a_window_counts_events_across_its_blocks(monkeypatch):
    setting = small()
    whole = simulate(setting, [2048])
    monkeypatch.setattr("constellation.sync.simulation._BLOCK_SATELLITE_STEPS", 400)
    parts = simulate(setting, [2048])
    assert (
        parts.events == whole.events and len(whole.events) == 4 and (parts.t_sync_s == whole.t_sync_s).all()
    )


def test_under_ktb_a_compact_region_is_one_hop_and_under_paper_noise_or_a_grid_it_is_not():
    window = ["orbit.duration_s=1200"]
    ktb, paper, grid = (
        simulate(Setting.of(load_scenario("edge_space_com", window + extra)), [131072]).figures(0)
        for extra in ([], ["link.noise=paper"], ["topology.rule=grid"])
    )
    assert ktb.direct_share == 1.0 and ktb.control_share > 0.7
    assert paper.direct_share < 0.5 and paper.control_share < 0.3
    assert grid.direct_share < 0.5 and grid.control_share < 0.3


def test_a_region_that_nobody_sees_is_refused():
    with pytest.raises(UserError, match="region: no satellite sees it"):
        simulate(small("region.rule=footprint", "region.latitude_deg=89"), [2048])


def run_study(folder, *arguments):
    """The study of a small shell, in this process."""
    window = ("orbit.pattern=53:100/10/1", "orbit.duration_s=240", "instants=2")
    run(COMMAND, [*window, f"output={folder}", *arguments])


def test_the_study_leaves_its_picture_and_tables_and_prints_the_hops(tmp_path, capsys):
    run_study(tmp_path, "payloads_kib=2,128")
    (folder,) = tmp_path.glob("sync-*")
    left = {path.name for path in folder.iterdir()}
    assert {"figure10.png", "payloads.csv", "scenario.yaml", "sync.csv", "index.html"} <= left
    assert (folder / "figure10.png").read_bytes().startswith(b"\x89PNG") and len(
        (folder / "sync.csv").read_text().splitlines()
    ) == 9
    printed = capsys.readouterr().out
    for words in ("hops of the minimum-delay routes", "noise ktb", "Omega_topo"):
        assert words in printed
    assert load_scenario(str(folder / "scenario.yaml")).orbit.pattern == "53:100/10/1"


BAD = [
    ("payloads_kib=2,x", "payloads_kib: found 'x', expected"),
    ("topology.rule=mesh", "topology.rule"),
    ("compare=maybe", "compare: found 'maybe', expected true"),
    ("orbit.source=tle", "orbit.path"),
]


@pytest.mark.parametrize("argument,expected", BAD)
def test_the_study_refuses_bad_arguments_in_one_line(tmp_path, capsys, argument, expected):
    with pytest.raises(SystemExit) as left:
        run_study(tmp_path, argument)
    said = capsys.readouterr().err
    assert left.value.code == 2 and expected in said and len(said.splitlines()) == 1


def test_the_study_is_a_program_of_its_own():
    argument, expected = BAD[0]
    line = [sys.executable, "-m", "dlrc.studies.paper.sync", argument]
    result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 2 and expected in result.stderr and len(result.stderr.splitlines()) == 1


NINE_APART = (
    "orbit.pattern=53:9/3/1",
    "satellites=9",
    "topology.max_distance_km=20000",
    "orbit.duration_s=600",
    "orbit.step_s=120",
)


def request_of_words(words):
    last = {word.partition("=")[0]: word for word in words}
    return request_of(read(COMMAND, list(last.values())))


def apart(*overrides):
    return request_of_words([*NINE_APART, "payloads_kib=2", *overrides])


def test_where_nobody_hears_anybody_no_time_is_a_number():
    request = apart("topology.max_distance_km=10")
    series = simulate(Setting.of(request.scenario), [2048])
    figures = series.figures(0)
    assert figures.unheard_share == 1 and figures.silent_share == 1 and figures.direct_share == 0
    assert np.isnan([figures.t_sync_mean_s, figures.t_round_mean_s, figures.control_share]).all()
    assert np.isnan(series.t_round_s).all()
    table = report(series, request)
    assert "undefined" in table and "100.0 %" in table and "30.00 ms" not in table
    assert "100.0 % UNHEARD" in panel_title(series, 0)


def test_a_network_that_leaves_satellites_out_is_no_good_row_of_the_comparison():
    table = compare_networks(Setting.of(apart().scenario), [2.0])
    rows = {line[:16].rstrip(): line for line in table.splitlines() if line.startswith(("ktb", "paper"))}
    silent = [line for line in rows.values() if "100.0 %" in line]
    assert silent and all("undef." in line and "undefined: nobody is heard" in line for line in silent)
    assert "unheard" in table and "Walker delta 53:9/3/1" in table


def test_a_satellite_cut_off_for_a_while_counts_in_no_mean():
    setting = Setting.of(apart().scenario)
    series = simulate(setting, [2048])
    cut = (series.hops[0] >= 0).sum(axis=1) + (series.hops[0] >= 0).sum(axis=2) == 2  # itself, twice
    assert np.array_equal(np.isnan(series.t_sync_s[0]), cut)
    shares = series.unheard_shares(0)
    assert (
        series.figures(0).unheard_share == pytest.approx(shares.mean())
        and ((shares >= 0) & (shares <= 1)).all()
    )


def test_one_satellite_alone_has_its_control_time_and_nobody_unheard():
    request = request_of_words(
        ["satellites=1", "orbit.pattern=53:9/3/1", "orbit.duration_s=300", "payloads_kib=2"]
    )
    series = simulate(Setting.of(request.scenario), [2048])
    figures = series.figures(0)
    assert figures.t_round_mean_s == pytest.approx(0.03) and figures.unheard_share == 0
    assert "nobody to exchange signatures with" in report(series, request)


def test_nearest_with_two_terminals_leaves_a_quarter_of_the_papers_pairs_unheard():
    # 127.3 ms and 26.5 % by a greedy matching of all pairs, worked out independently
    window = ["topology.rule=nearest", "topology.terminals=2", "orbit.duration_s=7200"]
    figures = simulate(Setting.of(load_scenario("edge_space_com", window)), [2048]).figures(0)
    assert 1e3 * figures.t_round_mean_s == pytest.approx(127.3, abs=0.06)
    assert 100 * figures.unheard_share == pytest.approx(26.5, abs=0.05)


def test_the_distance_rule_says_that_no_satellite_has_so_many_terminals():
    request = request_of_words(["orbit.duration_s=180", "payloads_kib=2"])
    text = report(simulate(Setting.of(request.scenario), [2048]), request)
    assert "topology.rule=distance gives a satellite 5" in text and "terminals" in text
    request = request_of_words(["orbit.duration_s=180", "payloads_kib=2", "topology.rule=grid"])
    assert "terminals" not in report(simulate(Setting.of(request.scenario), [2048]), request)


def test_blocks_wait_for_the_count_in_a_queue_of_two_and_are_dropped_on_an_interrupt(monkeypatch):
    monkeypatch.setattr(simulation, "_BLOCK_SATELLITE_STEPS", 200)  # one instant a block
    gate, counted, made = threading.Event(), [], []

    def slow(before, after, max_distance_km):
        gate.wait(5)
        counted.append(1)
        return 0, 0, 0

    positions = simulation.Constellation.positions_itrs_km

    def counted_positions(self, times_s):
        made.append(len(times_s))
        if len(made) == 6:
            raise KeyboardInterrupt
        if len(made) == 4:
            threading.Timer(0.3, gate.set).start()
            began.append(time.monotonic())
        return positions(self, times_s)

    began: list[float] = []
    monkeypatch.setattr(simulation, "distance_churn", slow)
    monkeypatch.setattr(simulation.Constellation, "positions_itrs_km", counted_positions)
    with pytest.raises(KeyboardInterrupt):
        simulate(small("orbit.duration_s=6000"), [2048])
    assert len(made) == 6 and len(counted) <= 4  # of 49: the rest was dropped
    assert time.monotonic() - began[0] < 4


def test_more_pairs_than_memory_holds_are_refused_before_any_work():
    with pytest.raises(UserError, match="satellites=1000: 720000000 pairs"):
        simulate(Setting.of(load_scenario("edge_space_com", ["satellites=1000"])), [2048])


def test_undefined_times_are_empty_in_the_tables_and_the_share_stands_beside(tmp_path):
    run_study(tmp_path, "payloads_kib=2", "topology.max_distance_km=10")
    (folder,) = tmp_path.glob("sync-*")
    for name in ("sync.csv", "payloads.csv"):
        for row in csv.DictReader((folder / name).open()):
            assert row["t_sync_mean_s"] == "" and float(row["unheard_share"]) == 1
    assert "unheard, in no time: 2 KiB 100.0 %" in (folder / "scenario.yaml").read_text()
    assert load_scenario(str(folder / "scenario.yaml")).topology.max_distance_km == 10


def test_a_folder_that_cannot_be_written_is_refused_before_the_simulation(monkeypatch):
    from dlrc.studies.paper import sync

    monkeypatch.setattr(sync, "simulate", lambda *_: pytest.fail("simulated before looking at the output"))
    with pytest.raises(UserError, match="output="):
        perform(sync.COMMAND, ["output=/proc/x", "orbit.duration_s=60"])


@pytest.mark.parametrize("size", [8, 100, 1000, 10000, 50000, 97, 100000])
def test_the_benchmark_takes_any_size_that_the_program_takes(size):
    from benchmarks.sync import pattern_of
    from constellation.orbit.walker import parse_walker

    assert parse_walker(pattern_of(size)).total == size
    assert pattern_of(1000) == "53:1000/25/1" and pattern_of(100) == "53:100/10/1"


def test_the_benchmark_refuses_other_sizes_in_one_line():
    from benchmarks.sync import COMMAND

    for sizes in ("7", "100001", "x"):
        with pytest.raises(UserError, match="sizes: found"):
            perform(COMMAND, [f"sizes={sizes}"])
