"""Every way of avoiding a second copy, over the same captures: what each sends down, between satellites and
up, when the last picture is usable, and at how many joules.

    independent    everybody codes everything itself
    signatures     DLRC: hashes of latent vectors are exchanged
    conditional    streams are exchanged, and coded in each other's light
    hybrid         so, with exact copies where there are any
    footprint      the first who looks there codes it, from the orbits alone
    dialogue       hashes go down during the pass, the ground answers with bitmaps
    uplinked       the ground sends a reference up before the pass, and gets the tiles that changed (Earth+)

Disturbances are of every view against the others: at their bound, either way, unless a knob of `capture` says
otherwise. Times and energies are measured on this machine, one core, and on the scenario's links; assumptions
are named in `dlrc/studies/referee`. `pairs` adds two satellites that capture the two pictures of real pairs.
Writes runs/exchange-<digest>/: exchange.csv, exchange.png."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_records
from constellation.common.knobs import Knobs, Several
from constellation.common.progress import note, watched
from constellation.scenario.load import SCENARIO
from dlrc.studies.common.sights import Sights
from dlrc.studies.common.terms import FLOWN, refuse_estimates, surveyed
from dlrc.studies.common.variants import Looks, Trial, see, shown
from dlrc.studies.questions.multiview import look_at, pairs_of
from dlrc.studies.referee import ways
from dlrc.studies.referee.report import draw, table
from dlrc.studies.referee.uplinked import uplinked
from dlrc.studies.referee.ways import Way, scene_of
from nodes.capture import Capture
from nodes.process.board import load_board
from nodes.process.preflight import check_inputs

WAYS: dict[str, Way] = {
    "independent": ways.independent,
    "signatures": ways.signatures,
    "conditional": ways.conditional,
    "hybrid": ways.hybrid,
    "footprint": ways.footprints,
    "dialogue": ways.dialogue,
    "uplinked": uplinked,
}
FLAWS = "capture.flaws"
THREE = {"jitter_px": 0.5, "gain": 0.05, "noise": 2.0}
CONDITIONS: dict[str, dict[str, float]] = {
    "none": {},
    "shift 0.25 px": {"jitter_px": 0.25},
    "shift 0.5 px": {"jitter_px": 0.5},
    "gain 1 %": {"gain": 0.01},
    "gain 5 %": {"gain": 0.05},
    "noise 1 count": {"noise": 1.0},
    "noise 4 counts": {"noise": 4.0},
    "three together": THREE,
    "clouds 20 %": {"clouds": 0.2},
    "rotation 0.5 deg": {"rotation_deg": 0.5},
}


class ExchangeKeys(Knobs):
    """Keys of this study."""

    windows: Annotated[int, Field(ge=0, le=10000)] = 2
    """rounds of every condition"""
    conditions: Several[str] = ("all",)
    """beginnings of names: none, shift, gain, noise, three, clouds, rotation"""
    ways: Several[str] = tuple(WAYS)
    """which of them"""
    pairs: str = ""
    """folder of picture pairs to fly too"""


def study(given: Given) -> None:
    """Fly every condition by every way, print, write."""
    scenario, own = given.subject, given.own
    refuse_estimates(scenario.codec)
    conditions, chosen = picked(own.conditions, CONDITIONS, "conditions"), picked(own.ways, WAYS, "ways")
    pairs = pairs_of(Path(own.pairs)) if own.pairs else []
    check_inputs(scenario)  # before a folder is made
    trial = Trial(scenario, load_board(scenario.codec))
    if {"conditional", "hybrid"} & chosen.keys():
        trial.board.predictor  # noqa: B018  # or one line that says what is missing
    folder = make_folder(Path(scenario.output) / f"exchange-{scenario.digest}")
    _warm(trial, chosen)
    rows: list[dict] = []
    for window in watched(range(own.windows), "windows"):
        for name, knobs in conditions.items():
            rows += _flown(trial.under(capture={**knobs, "flaws": "bound"}), window, (name, chosen), None)
            write_records(folder / "exchange.csv", rows)
    for number, pair in enumerate(watched(pairs, "pairs")):
        patch_px = scenario.capture.patch_px
        two = trial.under(satellites=2, capture={"window_px": patch_px, "halo_px": 0})
        here = {name: way for name, way in chosen.items() if name != "uplinked"}
        try:
            rows += _flown(two, number, (pair.group, here), _same_place(look_at(pair)))
        except UserError as error:
            note(f"left out: {error}")
        write_records(folder / "exchange.csv", rows)
    where = f"{scenario.name}, {surveyed(scenario.scene, own.windows)}"
    print(f"{scenario.codec.model} at lambda {scenario.codec.lambda_:g}, {where}\n\n{table(rows)}")
    if rows:
        draw(rows, folder / "exchange.png", where)
    print(f"\nwrote {folder}/")


def _warm(trial: Trial, chosen: Mapping[str, Way]) -> None:
    """Every way once over two views, forgotten: what is compiled or loaded at its first use is in no way's
    time."""
    two = trial.under(satellites=2, capture={"window_px": trial.scenario.capture.patch_px, "flaws": "bound"})
    views = see(two, 0)
    if any(view.look.pixels for view in views):
        scene = scene_of(two, 0, views)
        for way in chosen.values():
            way(scene)


def _flown(trial: Trial, window: int, what: tuple[str, Mapping[str, Way]], looks: Looks | None) -> list[dict]:
    """A row for every way over one window's captures. what: the condition's name, and the ways."""
    name, chosen = what
    views = see(trial, window, looks or Sights.look)
    if not shown(views, window):
        return []
    scene = scene_of(trial, window, views)
    head = {"condition": name, "window": window, "satellites": len(views), "alone_bytes": scene.alone_bytes}
    return [{**head, "way": label, **asdict(way(scene))} for label, way in chosen.items()]


def _same_place(looks: Looks) -> Looks:
    """Both satellites of a pair believe that they look at one place."""

    def look(sights: Sights, number: int, satellite: int) -> tuple[Capture, str]:
        view, name = looks(sights, number, satellite)
        return replace(view, window_row=0, window_col=0), name

    return look


def picked(names: Sequence[str], there: Mapping, key: str) -> dict:
    """Those of `there` whose names begin like one of `names`, or `all`. Raises `UserError` for a name that
    none begins with."""
    for name in names:
        if name != "all" and not any(one.startswith(name) for one in there):
            raise UserError(f"{key}={','.join(names)}: no {name!r}; there are: {'; '.join(there)}")
    return {
        one: value
        for one, value in there.items()
        if "all" in names or any(one.startswith(name) for name in names)
    }


COMMAND = Command(
    name="study exchange",
    about=__doc__ or "",
    own=ExchangeKeys,
    work=study,
    subject=SCENARIO,
    honours=FLOWN,
    sets={
        "dlrc.signature": "",
        "dlrc.dedup": "",
        "dlrc.exchange": "",
        "dlrc.enabled": "",
        "capture.flaws": "",
    },
    default="dense",
    examples=(
        "dlrc study exchange windows=1 conditions=none,three",
        "dlrc study exchange ways=signatures,hybrid pairs=FOLDER windows=0",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
