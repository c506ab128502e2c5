"""What `dlrc --help` prints: every command and scenario, and the sections of knobs, on one screen.

`python -m dlrc.commands.overview write=true` brings dlrc/help.txt up to date, which launch.sh prints before
any set-up."""

from __future__ import annotations

import sys
import textwrap

from constellation.common.commands import first_sentence
from constellation.common.files import write_text
from constellation.common.help import COLUMNS
from constellation.common.knobs import keys_of, sections_of
from constellation.scenario.load import shipped_scenarios
from constellation.scenario.scenario import Scenario
from dlrc.commands.table import ENTRIES, FAMILIES, HERE, benches, studies

HELP_FILE = HERE / "help.txt"


def overview() -> str:
    """One screen, without a heavy import."""
    return "\n".join(
        [
            "dlrc: a satellite constellation that compresses as one: what several of them hold is sent once",
            "usage: ./launch.sh COMMAND [key=value ...]  (installed: dlrc COMMAND ...); no command: run",
            "commands (COMMAND --help says more)",
            *(_row(f"{entry.name}", entry.brief) for entry in ENTRIES.values()),
            *_wrapped("study NAME", f"{FAMILIES['study']}: {', '.join(studies())}"),
            *(_wrapped("bench NAME", f"{FAMILIES['bench']}: {', '.join(benches())}") if benches() else ()),
            "",
            "scenarios, or a .yaml file of your own",
            *(_row(name, brief) for name, brief in shipped_scenarios().items()),
            "",
            "keys of a scenario",
            *_plain_keys(),
            "",
            "sections of a scenario, section.key=value (--help SECTION: keys, defaults, units, meanings)",
            *(
                _row(name, first_sentence(model.__doc__ or ""))
                for name, model in sections_of(Scenario).items()
            ),
            "",
            "options: --help [SECTION]  --version  --quiet (no bars, no notes); NO_COLOR is honoured",
            "example: ./launch.sh --nproc 8 scenario=dense scene.path=FOLDER codec.model=elic",
            "",
        ]
    )


def _plain_keys() -> list[str]:
    return [
        _row(
            f"{key.name}={key.default_text.partition(' ')[0]}",
            key.meaning + (f", {key.unit}" if key.unit else ""),
        )
        for key in keys_of(Scenario).values()
        if not key.section
    ]


def _row(name: str, text: str) -> str:
    return f"  {name:<17} ".ljust(20) + textwrap.shorten(
        text, COLUMNS - max(20, len(name) + 3), placeholder=" ..."
    )


def _wrapped(name: str, text: str) -> list[str]:
    return textwrap.wrap(text, COLUMNS, initial_indent=f"  {name:<18}", subsequent_indent=" " * 20)


if __name__ == "__main__":
    if sys.argv[1:] == ["write=true"]:
        write_text(HELP_FILE, overview())
    else:
        print(overview(), end="")
