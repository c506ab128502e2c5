"""Who this process is, by the variables that torchrun sets, and how it reaches the others of its run.

    RANK                0 .. WORLD_SIZE - 1: a crew of satellites, one unless satellites_per_rank says more;
                        WORLD_SIZE is the ground's place, which rank 0 starts
    MASTER_ADDR, _PORT  of the store where all processes meet
    LOCAL_WORLD_SIZE    ranks on this machine; where it is all of them, nothing leaves the machine

On one machine nothing listens beyond loopback. On several, the interface is the user's choice
(GLOO_SOCKET_IFNAME), else the one that leads to MASTER_ADDR; whoever is in that network can speak to a run,
so it must be trusted."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from constellation.common.errors import UserError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

    from nodes.wire.group import Links

LOOPBACK = "127.0.0.1"
NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Rank:
    """This process's place. number: RANK; ranks: WORLD_SIZE; local: how many of them are on this machine.

    address, port: of the store. agent: torchrun's agent holds the store; else rank 0 does. run: tells apart
    runs that meet at one store."""

    number: int
    ranks: int
    local: int
    address: str
    port: int
    agent: bool
    run: str

    @property
    def is_ground(self) -> bool:
        """Whether this process is the ground."""
        return self.number == self.ranks

    @property
    def ground(self) -> Rank:
        """The place of the ground, which this rank's keeper starts."""
        return replace(self, number=self.ranks)

    @property
    def on_one_machine(self) -> bool:
        """Whether all processes of the run are on this machine."""
        return self.local >= self.ranks


def rank_of(environment: Mapping[str, str] = os.environ) -> Rank | None:
    """This process's place; None where nobody has given it one. Raises `UserError` for variables that
    torchrun would not set."""
    if "RANK" not in environment:
        return None
    for name in NEEDED:
        if not environment.get(name):
            raise UserError(f"{name}: not set, though RANK is; torchrun sets {', '.join(NEEDED)}")
    ranks = _number(environment, "WORLD_SIZE", 1, 1 << 16)
    address = environment["MASTER_ADDR"]
    if "LOCAL_WORLD_SIZE" in environment:
        local = _number(environment, "LOCAL_WORLD_SIZE", 1, ranks)
    else:
        local = ranks if address in (LOOPBACK, "localhost", "::1") else 0
    attempt = environment.get("TORCHELASTIC_RESTART_COUNT", "0")
    return Rank(
        number=_number(environment, "RANK", 0, ranks),
        ranks=ranks,
        local=local,
        address=LOOPBACK if local == ranks else address,
        port=_number(environment, "MASTER_PORT", 1, 65535),
        agent=environment.get("TORCHELASTIC_USE_AGENT_STORE", "False") == "True",
        run=f"{environment.get('TORCHELASTIC_RUN_ID', 'run')}/{attempt}",
    )


def _number(environment: Mapping[str, str], name: str, least: int, most: int) -> int:
    text = environment[name]
    if not text.isdecimal() or not least <= int(text) <= most:
        raise UserError(f"{name}={text}: expected a whole number from {least} to {most}")
    return int(text)


def links_of(rank: Rank, cuda: bool, timeout_s: float) -> Links:
    """How a rank reaches the others. Raises `UserError` where a variable says what cannot be."""
    from nodes.wire.group import Links

    if cuda and rank.on_one_machine:
        os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    return Links(_store_of(rank, timeout_s), lambda: gloo_devices(rank), cuda, timeout_s)


def _store_of(rank: Rank, timeout_s: float) -> Callable[[], Store]:
    """What makes a connection to the store."""
    from torch._C._distributed_c10d import PrefixStore, TCPStore

    patience = timedelta(seconds=timeout_s)

    def connect() -> Store:
        _reach(rank.address, rank.port, timeout_s)
        store = TCPStore(rank.address, rank.port, timeout=patience, wait_for_workers=False)
        return PrefixStore(f"dlrc/{rank.run}", store)

    return connect


def hold_store(rank: Rank, _back: object) -> None:
    """Hold the store where there is no agent of torchrun's to do so, until this rank's other processes are
    done: a child of the keeper, which could not fork beside the store's thread."""
    held = host_store(rank.address, rank.port, "MASTER_ADDR", "MASTER_PORT")
    while held is not None:
        time.sleep(3600)


def host_store(address: str, port: int, *keys: str) -> Store:
    """A store that listens at this address alone; port 0 takes a free one. Raises `UserError` that names
    `keys`, of address and port."""
    from torch._C._distributed_c10d import TCPStore

    try:
        family = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((address, port), family=family, backlog=1024)
    except OSError as error:
        raise UserError(f"{keys[0]}={address} {keys[1]}={port}: {error.strerror or error}") from None
    port = listener.getsockname()[1]
    return TCPStore(
        address,
        port,
        None,
        True,
        wait_for_workers=False,
        multi_tenant=True,  # torchrun in this process finds it by its port, and makes none of its own
        master_listen_fd=listener.detach(),
    )


def _reach(address: str, port: int, timeout_s: float) -> None:
    """Wait until somebody listens there, because torch's store says so in a page."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            socket.create_connection((address, port), timeout=timeout_s).close()
            return
        except socket.gaierror as error:
            raise UserError(f"MASTER_ADDR={address}: {error.strerror}") from None
        except OSError as error:
            if time.monotonic() > end:
                why = error.strerror or error
                raise UserError(f"MASTER_ADDR={address} MASTER_PORT={port}: nobody answers ({why})") from None
            time.sleep(0.2)


def gloo_devices(rank: Rank, environment: Mapping[str, str] = os.environ) -> list[Any]:
    """The sockets that Gloo may use. Raises `UserError` for an interface that is not there."""
    from torch.distributed.distributed_c10d import ProcessGroupGloo

    named = [name for name in environment.get("GLOO_SOCKET_IFNAME", "").split(",") if name]
    there = [name for _, name in socket.if_nameindex()]
    for name in named:
        if name not in there:
            raise UserError(f"GLOO_SOCKET_IFNAME={name}: no such interface; there are {', '.join(there)}")
    try:
        if named and not rank.on_one_machine:
            return [ProcessGroupGloo.create_device(interface=name) for name in named]
        address = LOOPBACK if rank.on_one_machine else _address_to(rank)
        return [ProcessGroupGloo.create_device(hostname=address)]
    except RuntimeError as error:
        raise UserError(f"GLOO_SOCKET_IFNAME={','.join(named)}: {str(error).splitlines()[0]}") from None


def _address_to(rank: Rank) -> str:
    """This machine's address on the way to the store; connecting a datagram socket sends nothing."""
    family, kind, protocol, _, where = socket.getaddrinfo(rank.address, rank.port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(where)
        found = probe.getsockname()[0]
    if found.startswith("127.") or found == "::1":
        raise UserError(
            f"MASTER_ADDR={rank.address}: leads to this machine's loopback, expected an address that the "
            "other machines reach; or name the interface in GLOO_SOCKET_IFNAME"
        )
    return found
