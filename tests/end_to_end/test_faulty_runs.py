"""A launched run with damaged streams and a silent satellite ends as the same rounds do in one process."""

import json

import dlrc
from constellation.scenario.load import load_scenario
from dlrc.local import flights
from tests.end_to_end.test_launch import launch, streams_in, summary_in

WORDS = ("satellites=4", "ground.silent_satellite=1", "ground.stream_loss=0.6", "seed=2")


def test_loss_and_silence_come_out_alike_over_processes_and_in_one(tmp_path):
    result = launch("scenario=smoke", *WORDS, f"output={tmp_path}")
    assert result.returncode == 0, result.stdout + result.stderr
    printed, stored = summary_in(tmp_path), streams_in(tmp_path)
    here = list(flights(load_scenario("smoke", list(WORDS))))
    run = dlrc.run("smoke", satellites=4, seed=2, ground={"silent_satellite": 1, "stream_loss": 0.6})
    expected = json.loads(run.summary.model_dump_json())
    for part in ("bpp", "saving_pct", "quality", "positions", "sync", "downlink", "decode"):
        assert printed[part] == expected[part]
    decode = printed["decode"]
    assert decode["exact"] and decode["independent"] and decode["resent_bytes"] and decode["failed"] == 1
    for flight in here:
        for (satellite, number), data in flight.landed.arrived.streams.items():
            assert stored[f"round{number:03d}_satellite{satellite:03d}_dlrc.bin"] == data
