"""A knob that names a file which is not there, or is not what it should be: one line that begins with the
knob and names the file. Whoever adds such a knob adds its case."""

import re

import numpy as np
import pytest
from PIL import Image

from constellation.common.errors import UserError
from constellation.common.knobs import keys_of
from constellation.scenario.scenario import Scenario
from dlrc.commands.table import ENTRIES, benches, loaded, studies
from dlrc.main import dispatch

MISSING, SCENES = "gone", "a.png"
TRAIN = "lambda=0.013 data=seen out=new.safetensors val_share=0 crop=64"
STREAMS = "dlrc.exchange=streams dlrc.dedup=conditional"
NET = "ground.compensation=regressor"
# what is asked for, with the knob in question at the end
CASES = [
    "run smoke clock.profile=gone.yaml",
    "run smoke clock.profile=odd.yaml",
    "run smoke orbit.source=tle orbit.path=gone.tle",
    "run smoke orbit.source=tle orbit.path=odd.bin",
    "run smoke orbit.source=omm orbit.path=gone.omm",
    "run smoke orbit.source=omm orbit.path=odd.csv",
    "run smoke orbit.source=oem orbit.path=gone.oem",
    "run smoke topology.rule=list topology.path=gone.txt",
    "run smoke topology.rule=list topology.path=odd.csv",
    "run orbit_pass sight.targets=gone.csv",
    "run orbit_pass sight.targets=odd.csv",
    "run orbit_pass sight.dem=gone.tif",
    "run orbit_pass sight.dem=odd.bin",
    "run smoke scene.path=gone.png",
    "run smoke codec.weights=gone.safetensors",
    "run smoke codec.weights=odd.safetensors",
    f"run smoke {STREAMS} codec.prediction=gone.safetensors",
    f"run smoke {NET} ground.compensation_weights=gone.safetensors",
    f"run smoke {NET} ground.compensation_weights=odd.safetensors",
    "run scenario=gone.yaml",
    "run scenario=odd.yaml",
    "sweep scenario=gone.yaml",
    "sweep scenario=odd.yaml",
    "study sync orbit.source=tle orbit.path=gone.tle",
    "study sync topology.rule=list topology.path=gone.txt",
    "train model=bmshj lambda=0.013 out=new.safetensors data=gone",
    f"train model=bmshj {TRAIN} val=gone",
    f"train model=bmshj {TRAIN} init=gone.safetensors",
    f"train model=bmshj {TRAIN} init=odd.safetensors",
    f"train model=mbt {TRAIN} transforms=gone.safetensors",
    f"train model=bmshj {TRAIN} teacher=gone.safetensors",
    f"train model=rsllic {TRAIN} kd=1 teacher=gone.safetensors",
    "train-prediction data=seen out=new.safetensors codec=gone.safetensors",
    "train-prediction model=bmshj lambda=0.013 out=new.safetensors data=gone",
    "train-prediction model=bmshj lambda=0.013 data=wide out=new.safetensors init=gone.safetensors",
    "train-compensation kind=regressor data=seen out=new.safetensors codec=gone.safetensors",
    "train-compensation kind=regressor model=bmshj lambda=0.013 out=new.safetensors data=gone",
    "train-compensation kind=diffusion model=bmshj lambda=0.013 data=seen out=new.safetensors "
    "metadata=gone.csv",
    "evaluate data=gone",
    f"evaluate data=seen scenes={SCENES} weights=gone.safetensors",
    "decode out=new streams=gone",
    "verify folder=gone",
    "geo run=gone",
    "compare runs=gone,away",
    "study delivery scenario=orbit_pass plan=gone.txt",
    "study delivery run=gone",
    "study planner task=cloud table=gone.csv",
    "study crossview crops=0 output=new pairs=gone",
    "study crossview patches=0 output=new scenes=gone",
    "study robustness pairs=gone",
    "study exchange pairs=gone",
    "study detection data=gone",
    "study segmentation data=gone",
    "study codecs data=gone",
    f"study codecs data=seen scenes={SCENES} weights=gone.safetensors",
    "study compensation data=gone",
    "study compensation data=seen regressor=gone.safetensors",
    "study compensation data=seen diffusion=gone.safetensors",
    "study compensation data=seen metadata=gone.csv",
    "study distill train=seen out=new data=gone",
    "study distill data=seen out=new train=gone",
    "study distill data=seen train=seen out=new teacher=gone.safetensors",
    "study optimisers train=seen out=new data=gone",
    "study optimisers data=seen out=new train=gone",
    "study norms data=gone",
    "study norms models=rsllic patches=1 data=wide out=new train=gone",
    "bench onboard board=gone.yaml",
    "bench onboard board=odd.yaml",
    "bench onboard models=bmshj sizes=64 data=gone",
    "bench mixture data=gone",
    f"bench mixture data=seen scenes={SCENES} weights=gone.safetensors",
]
# Names of what is written, pictures within a folder, and what needs streams or data sets to be reached:
# tests/ground/test_files.py, tests/dlrc/studies
ELSEWHERE = {
    *("decode weights", "decode prediction", "decode compensation_weights", "study segmentation init"),
    *("evaluate scenes", "bench mixture scenes", "study codecs scenes"),
    *("list output", "compare output", "serve output", "bench day to", "bench growth table"),
    *("bench onboard profile", "study crossview output", "scenario name", "scenario output"),
}
FILES = re.compile(r"\b(file|folders?|checkpoints?|CSV|YAML|weights that|pictures (to|for|under))\b")
NO_FILE = re.compile(
    r"^(out|orbit\.epoch|scene\.bands|bands|colours|lambdas|segment_bytes|freeze|checkpoint_s)$"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Pictures, and files that are not what anybody asks for."""
    root = tmp_path_factory.mktemp("place")
    for folder, side in (("seen", 256), ("wide", 640)):
        (root / folder).mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / folder / SCENES)
    (root / "odd.yaml").write_text("- 1\n- 2\n")
    (root / "odd.csv").write_text("a,b\n1,2\n")
    (root / "odd.bin").write_bytes(b"\0\1nothing known")
    (root / "odd.safetensors").write_bytes(b"nothing known")
    return root


@pytest.mark.parametrize("line", CASES)
def test_the_knob_that_names_a_missing_or_malformed_file_is_named_with_it(line, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    for study in ("courses", "compensation", "norms"):
        monkeypatch.setattr(f"dlrc.studies.encoders.{study}.LOSSLESS", (SCENES,))
    words = line.split()
    knob, _, file = words[-1].partition("=")
    told = refused(words, capsys)
    assert re.match(rf"{re.escape(knob)}[=: ]", told), told
    assert file.split(",")[0] in told and told.count("\n") == 0, told
    assert not (place / "new.safetensors").exists()


def test_every_knob_that_names_a_file_has_a_case():
    known = {f"{line.split()[0]} {line.split()[-1].partition('=')[0]}" for line in CASES}
    known |= {" ".join([*line.split()[:2], line.split()[-1].partition("=")[0]]) for line in CASES}
    known |= {f"scenario {line.split()[-1].partition('=')[0]}" for line in CASES if "." in line.split()[-1]}
    asked = [("scenario", Scenario)]
    for family in (ENTRIES, studies(), benches()):
        asked += [(entry.name, loaded(entry).own) for entry in family.values()]
    found = {
        f"{name} {key.name}"
        for name, model in asked
        for key in keys_of(model).values()
        if "str" in str(key.annotation) and FILES.search(key.meaning) and not NO_FILE.match(key.name)
    }
    assert not found - known - ELSEWHERE


def refused(words, capsys):
    """The line that a command leaves with."""
    try:
        with pytest.raises(SystemExit) as left:
            dispatch(words)
    except UserError as error:  # of a run, which the program's entry turns into a line
        return str(error)
    assert left.value.code == 2
    return capsys.readouterr().err.removeprefix("error: ").rstrip("\n")
