"""The examples for clusters: dry runs, up to the command that a machine would be given."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from constellation.common.cli import read
from dlrc.commands.sweep import COMMAND as SWEEP
from dlrc.commands.table import ENTRIES, benches, loaded, scenario_of
from dlrc.launch import split_options

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "examples" / "cluster"
SCRIPTS = sorted([*CLUSTER.glob("*.sbatch"), *CLUSTER.glob("*.sh")])


def asked(script, folder, *words, **environment):
    """What a script would have `srun` start: the words, and its exit code."""
    (folder / "srun").write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    (folder / "scontrol").write_text("#!/bin/sh\necho node1\necho node2\n")
    for name in ("srun", "scontrol"):
        (folder / name).chmod(0o755)
    variables = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "SLURM_SUBMIT_DIR": str(ROOT),
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "node[1-2]",
        **environment,
    }
    done = subprocess.run(
        ["bash", str(CLUSTER / script), *words], env=variables, capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines(), done


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_shell(script):
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


def test_the_slurm_script_starts_as_many_ranks_as_the_scenario_needs(tmp_path):
    line, _ = asked(
        "run.sbatch", tmp_path, "rounds=2", SLURM_JOB_NUM_NODES="4", SATELLITES="1000", RANKS_PER_NODE="10"
    )
    options, words = split_options(line[line.index("launch.py") + 1 :])
    scenario = scenario_of(words)
    assert not options and (scenario.ranks, scenario.satellites, scenario.rounds) == (40, 1000, 2)
    assert line[line.index("--nnodes") + 1] == "4" and line[line.index("--nproc-per-node") + 1] == "10"
    assert line[line.index("--rdzv-endpoint") + 1] == "node1:29400"


def test_satellites_that_do_not_fill_the_ranks_are_refused_with_a_number_that_would(tmp_path):
    line, done = asked("run.sbatch", tmp_path, SLURM_JOB_NUM_NODES="4", SATELLITES="1000")
    assert done.returncode == 2 and not line
    assert done.stderr == "error: 1000 satellites do not fill 64 ranks; SATELLITES=1024 would\n"


@pytest.mark.parametrize(("task", "part"), [("3", "3/8"), ("0", "")])
def test_the_sweep_script_flies_a_share_and_the_last_job_writes_the_table(task, part, tmp_path):
    line, _ = asked(
        "sweep.sbatch", tmp_path, "dense", "dlrc.k=4,8", SLURM_ARRAY_TASK_ID=task, SLURM_ARRAY_TASK_MAX="8"
    )
    assert line[:2] == ["./launch.sh", "sweep"]
    given = read(SWEEP, SWEEP.spell(line[2:]))
    assert given.own.part == part and len(given.subject.combinations) == 2


def test_the_kubernetes_job_starts_as_many_ranks_as_the_scenario_needs():
    service, job = yaml.safe_load_all((CLUSTER / "kubernetes.yaml").read_text())
    pods, pod = job["spec"], job["spec"]["template"]["spec"]
    command = pod["containers"][0]["command"]
    said = dict(word.removeprefix("--").split("=", 1) for word in command if word.startswith("--"))
    scenario = scenario_of(command[command.index("launch.py") + 1 :])
    assert pods["completions"] == pods["parallelism"] == int(said["nnodes"])
    assert scenario.ranks == int(said["nnodes"]) * int(said["nproc-per-node"])
    assert said["master-addr"] == f"{job['metadata']['name']}-0.{pod['subdomain']}"
    assert pod["subdomain"] == service["metadata"]["name"] and service["spec"]["clusterIP"] == "None"


def test_what_a_machine_with_a_gpu_is_asked_for_is_understood():
    text = (CLUSTER / "gpu_check.sh").read_text().replace("\\\n", "")
    lines = [shlex.split(line.partition("./launch.sh ")[2].partition(" > ")[0].partition("; then")[0])
             for line in text.splitlines() if "./launch.sh " in line and "python -c" not in line]  # fmt: skip
    run, decode, exactness, train = lines
    scenario = scenario_of(run)
    assert (scenario.ranks, scenario.codec.device) == (1, "cuda")
    read(loaded(ENTRIES["decode"]), decode[1:])
    read(loaded(benches()[exactness[1]]), exactness[2:])
    read(loaded(ENTRIES["train"]), train[1:])
