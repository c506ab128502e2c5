"""torchrun's launcher in this process: the ranks of a scenario, and one line for whatever goes wrong.

Ranks are forked from a server that has imported everything (`server.py`); it must be there.

On one machine the store where ranks meet is ours and listens on loopback alone. torchrun's own stand-alone
rendezvous would open two on all interfaces, unpickle what it finds in one of them, and look up this machine's
name, which many containers cannot resolve."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from constellation.common.errors import EXIT_INTERRUPTED, EXIT_LOST_PROCESS, UserError
from constellation.scenario.scenario import Scenario
from nodes.process.rank import LOOPBACK, host_store
from nodes.process.server import METHOD

STATIC_PORT = 29500  # torchrun's own


def run_torchrun(
    options: Sequence[str], scenario: Scenario, rank: Callable[..., None], given: tuple[Any, ...]
) -> int:
    """Start ranks with torchrun's own `options` (`--nproc N` is short for `--nproc-per-node N`): each calls
    `rank(*given)`, a function of a module.

    Returns the exit code of the first rank that failed, or 0. Raises `UserError` for options that torchrun or
    the scenario refuses."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous.api import RendezvousError
    from torch.distributed.launcher.api import elastic_launch
    from torch.distributed.run import config_from_args

    arguments = _parsed(options, scenario)
    held = _meet_on_loopback(arguments) if _on_one_machine(arguments) else None
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # its tables repeat what a rank has said in one line
    # torchrun never removes a folder of its own making
    logs = tempfile.TemporaryDirectory(prefix="dlrc_", ignore_cleanup_errors=True)
    arguments.log_dir = arguments.log_dir or logs.name
    try:
        config = config_from_args(arguments)[0]
        config.start_method = METHOD
        elastic_launch(config, rank)(*given)
    except (SignalException, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except ChildFailedError as error:
        return _code_of(*error.get_first_failure())
    except (RendezvousError, RuntimeError, ValueError) as error:
        where = arguments.rdzv_endpoint or f"{arguments.master_addr}:{arguments.master_port}"
        why = str(error.__cause__ or error).splitlines()[0]
        raise UserError(f"torchrun: the machines did not meet at {where} ({why})") from None
    finally:
        logging.disable(before)
        logs.cleanup()
        del held
    return 0


def _parsed(options: Sequence[str], scenario: Scenario) -> Any:
    from torch.distributed.run import get_args_parser

    options = [_long_form(option) for option in options]
    if not any(option.startswith("--nproc-per-node") for option in options):
        options = ["--nproc-per-node", str(scenario.ranks), *options]
    parser = get_args_parser()
    parser.error = _refuse
    arguments = parser.parse_args([*options, "launch.py"])  # a name that it asks for
    if not _on_one_machine(arguments) and arguments.master_port is None:
        arguments.master_port = STATIC_PORT
    per_node, nodes = str(arguments.nproc_per_node), str(arguments.nnodes).removeprefix("1:")
    if not per_node.isdecimal() and per_node not in ("auto", "cpu", "gpu"):
        raise UserError(f"--nproc {per_node}: expected a number of ranks")
    if per_node.isdecimal() and nodes.isdecimal() and int(per_node) * int(nodes) != scenario.ranks:
        ranks = int(per_node) * int(nodes)
        has, fitting = scenario.said_of_ranks(ranks)
        raise UserError(
            f"--nproc {per_node}: {ranks} ranks, but the scenario has {has}; "
            f"give --nproc {scenario.ranks} or {fitting}"
        )
    return arguments


def _refuse(message: str) -> NoReturn:
    raise UserError(f"options for torchrun: {message}")


def _long_form(option: str) -> str:
    name, separator, value = option.partition("=")
    return "--nproc-per-node" + separator + value if name in ("--nproc", "-n", "--nproc_per_node") else option


def _on_one_machine(arguments: Any) -> bool:
    return str(arguments.nnodes) in ("1", "1:1") and not arguments.rdzv_endpoint


def _meet_on_loopback(arguments: Any) -> Any:
    """Let the ranks meet at a store of this process, which must be kept."""
    store: Any = host_store(LOOPBACK, arguments.master_port or 0, "--master-addr", "--master-port")
    arguments.standalone, arguments.rdzv_backend = False, "static"
    arguments.master_addr = arguments.local_addr = LOOPBACK
    arguments.master_port = store.port
    return store


def _code_of(rank: int, failure: Any) -> int:
    """The exit code of the rank that failed first; where a signal ended it, nobody has said so yet."""
    if failure.exitcode >= 0:
        return failure.exitcode or 1
    print(
        f"error: satellite {rank} was ended by signal {-failure.exitcode}; the run is over, "
        "resume=true goes on",
        file=sys.stderr,
        flush=True,
    )
    return EXIT_LOST_PROCESS
