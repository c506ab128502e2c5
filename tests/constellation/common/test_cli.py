"""One command line: keys of a command's own, sections that it honours, help, and one line for a mistake."""

from typing import Annotated

import pytest
from pydantic import Field

from constellation.common.cli import Command, Subject, page, read, run
from constellation.common.errors import UserError
from constellation.common.knobs import Knobs, build, overlay
from constellation.common.progress import QUIET


class Link(Knobs):
    """How far it reaches. And more."""

    reach_km: Annotated[float, Field(gt=0)] = 3000.0
    """Longest link."""


class Picture(Knobs):
    """What is seen."""

    size_px: int = 256
    model: str = "a"


class Plan(Knobs):
    seed: int = 0
    """Of every draw."""
    link: Link = Link()
    picture: Picture = Picture()


class Own(Knobs):
    windows: Annotated[int, Field(ge=1)] = 4
    """How many windows."""


SUBJECT = Subject(
    "plan",
    Plan,
    lambda name, words: build(Plan, overlay({}, words, Plan)),
    lambda: {"near": "Few.", "far": "Many."},
)


def command(**changes) -> Command:
    fields = {
        "name": "study it",
        "about": "Looks at it. Closely.\n\nAnd then some more.",
        "own": Own,
        "work": lambda given: None,
        "subject": SUBJECT,
        "honours": ("seed", "link", "picture.size_px"),
        "default": "near",
        "examples": ("study it windows=2",),
    }
    return Command(**{**fields, **changes})


def refused(*words: str, **changes) -> str:
    with pytest.raises(UserError) as caught:
        read(command(**changes), words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_own_keys_and_the_subjects_go_where_they_belong():
    given = read(command(), ["windows=2", "link.reach_km=5", "plan=far", "seed=3"])
    assert (given.own.windows, given.subject.link.reach_km, given.subject.seed) == (2, 5.0, 3)
    assert given.words == ("link.reach_km=5", "seed=3")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["picture.model=b"],
            "picture.model: means nothing to study it, which honours seed, link, parts of picture",
        ),
        (["plan=a", "plan=b"], "plan: given twice"),
        (["windows=1", "windows=2"], "windows: given twice"),
        (["seed=1", "seed=2"], "seed: given twice"),
        (["widnows=1"], "did you mean windows?"),
        (["link=1"], "link: a section"),
        (["windows"], "expected key=value"),
        (["windows=0"], "expected a whole number of at least 1"),
    ],
)
def test_what_a_command_does_not_take_is_one_line(words, expected):
    assert expected in refused(*words)


def test_what_a_command_sets_itself_names_the_key_to_use():
    changes = {"honours": ("picture",), "sets": {"picture.model": "models"}}
    assert refused("picture.model=b", **changes) == "picture.model: set by study it itself; use models="


def test_a_command_without_a_default_says_which_subjects_there_are():
    assert "plan=NAME: missing; there are near, far" in refused(default=None)


def test_help_is_one_screen_with_everything_that_matters(capsys):
    with pytest.raises(SystemExit) as left:
        run(command(), ["windows=2", "--help"])
    printed = capsys.readouterr().out
    assert left.value.code == 0
    for part in (
        "Looks at it.",
        "windows",
        "How many windows.",
        "near",
        "Few.",
        "seed",
        "link",
        "study it windows=2",
    ):
        assert part in printed
    assert "model" not in printed and printed.count("\n") <= 60
    assert max(map(len, printed.splitlines())) <= 110


def test_help_of_a_section_lists_the_keys_that_are_honoured():
    assert "reach_km" in page(command(), "link") and "3000 km" in page(command(), "link")
    assert "size_px" in page(command(), "picture") and "model" not in page(command(), "picture")
    with pytest.raises(UserError, match="did you mean link"):
        page(command(), "lnik")


def test_version_and_unknown_options_are_answered_before_any_work(capsys):
    with pytest.raises(SystemExit) as left:
        run(command(), ["--version"])
    assert left.value.code == 0 and capsys.readouterr().out.startswith("dlrc")
    with pytest.raises(SystemExit) as left:
        run(command(), ["--hlep"])
    assert left.value.code == 2 and "did you mean --help?" in capsys.readouterr().err


def test_quiet_holds_for_the_command_alone():
    seen = []
    run(command(work=lambda given: seen.append(QUIET.get())), ["--quiet"])
    run(command(work=lambda given: seen.append(QUIET.get())), [])
    assert seen == [True, False]


def test_a_mistake_leaves_with_exit_code_2_and_an_interrupt_with_130(capsys):
    with pytest.raises(SystemExit) as left:
        run(command(), ["nothing"])
    assert left.value.code == 2 and capsys.readouterr().err.count("\n") == 1

    def interrupted(given):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as left:
        run(command(work=interrupted), [])
    assert left.value.code == 130
