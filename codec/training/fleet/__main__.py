"""`python -m codec.training.fleet data=FOLDER out=FOLDER minutes=9`: see codec/training/fleet/fleet.py."""

from codec.training.fleet import fleet
from codec.training.fleet.plan import FleetKeys
from constellation.common.cli import Command, Given, main_of


def run_fleet(given: Given) -> None:
    """Train, or measure the device."""
    runs = fleet.Fleet(given.own)
    if given.own.smoke:
        from codec.training.fleet.smoke import smoke

        smoke(runs)
    else:
        runs.train()


COMMAND = Command(
    name="fleet",
    about=fleet.__doc__ or "",
    own=FleetKeys,
    work=run_fleet,
    examples=(
        "python -m codec.training.fleet data=FOLDER out=FOLDER minutes=9",
        "python -m codec.training.fleet data=FOLDER out=FOLDER smoke=true",
        "python -m codec.training.fleet.pieces FOLDER TARGET",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
