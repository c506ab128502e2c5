"""Who a process is by torchrun's variables, and what a user hears where they cannot be."""

import socket
import sys

import pytest

from constellation.common.errors import UserError
from dlrc import launch
from nodes.process.rank import Rank, gloo_devices, host_store, rank_of
from tests.forked import forked

SET = {
    "RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "nope-77",
    "MASTER_PORT": "29500",
}
FAR = Rank(1, 4, 2, "127.0.0.1", 29500, False, "run/0")


def test_without_torchrun_a_process_has_no_rank():
    assert rank_of({}) is None


def test_on_one_machine_a_rank_meets_the_others_on_loopback_whatever_the_host_is_called():
    rank = rank_of(SET)
    assert rank is not None and rank.on_one_machine and rank.address == "127.0.0.1" and not rank.is_ground


def test_the_rank_after_the_last_satellite_is_the_ground():
    rank = rank_of({**SET, "RANK": "4"})
    assert rank is not None and rank.is_ground


def test_on_several_machines_the_users_address_stands():
    rank = rank_of({**SET, "LOCAL_WORLD_SIZE": "2"})
    assert rank is not None and not rank.on_one_machine and rank.address == "nope-77"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"WORLD_SIZE": ""}, "WORLD_SIZE: not set, though RANK is"),
        ({"MASTER_ADDR": ""}, "MASTER_ADDR: not set"),
        ({"RANK": "5"}, "RANK=5: expected a whole number from 0 to 4"),
        ({"RANK": "one"}, "RANK=one: expected"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE=0: expected"),
        ({"LOCAL_WORLD_SIZE": "9"}, "LOCAL_WORLD_SIZE=9: expected"),
        ({"MASTER_PORT": "99999"}, "MASTER_PORT=99999: expected"),
    ],
)
def test_variables_that_torchrun_would_not_set_are_named(changed, expected):
    with pytest.raises(UserError, match=expected):
        rank_of({**SET, **changed})


def test_a_port_in_use_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"MASTER_PORT={port}: Address already in use"):
            host_store("127.0.0.1", port, "MASTER_ADDR", "MASTER_PORT")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"GLOO_SOCKET_IFNAME": "nope0"}, "GLOO_SOCKET_IFNAME=nope0: no such interface; there are .*lo"),
        ({}, "MASTER_ADDR=127.0.0.1: leads to this machine's loopback"),
    ],
)
def test_an_interface_that_cannot_lead_to_other_machines_is_named(environment, expected):
    with pytest.raises(UserError, match=expected):
        gloo_devices(FAR, environment)


def test_a_rank_that_meets_nobody_says_so_in_one_line(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    variables = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    monkeypatch.setattr(sys, "argv", ["launch.py", "scenario=smoke", "timeout_s=1"])
    monkeypatch.setattr(launch, "PATIENCE_S", 0.1)
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    done = forked(launch.main)
    assert done.returncode == 2
    expected = f"error: MASTER_ADDR=127.0.0.1 MASTER_PORT={port}: nobody answers (Connection refused)\n"
    assert done.stderr == expected
