"""Knobs of any model: words and YAML become values, and every mistake is one line that names its key."""

from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from constellation.common import yaml_values
from constellation.common.errors import UserError
from constellation.common.knobs import Knobs, Several, build, keys_of, overlay, refuse_repeats, text_of


class Inner(Knobs):
    """What is inside."""

    rate_bps: Annotated[float, Field(gt=0)] = 2.0
    """How fast."""
    rule: Literal["fast", "slow"] = "fast"


class Outer(Knobs):
    """A model with a section."""

    count: Annotated[int, Field(ge=1, le=64)] = 4
    """How many."""
    name: str = "none"
    on: bool = True
    sizes: Several[Annotated[int, Field(ge=0)]] = (1, 2)
    most: int | None = None
    inner: Inner = Inner(rate_bps=3.0)


def made(*words: str) -> Outer:
    return build(Outer, overlay({}, words, Outer))


def refused(*words: str) -> str:
    with pytest.raises(UserError) as caught:
        made(*words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_words_reach_sections_and_every_kind_of_value():
    knobs = made(
        "count=5", "name=010", "on=false", "sizes=3,4", "most=7", "inner.rate_bps=1e3", "inner.rule=slow"
    )
    assert (knobs.count, knobs.name, knobs.on, knobs.sizes, knobs.most) == (5, "010", False, (3, 4), 7)
    assert (knobs.inner.rate_bps, knobs.inner.rule) == (1000.0, "slow")
    assert made("most=").most is None
    assert made("sizes=[9]").sizes == (9,)


@pytest.mark.parametrize(
    "text", ["1:00", "010", "0x10", "1_0", "true", "1.5", "soon", "", "[[[[", "9" * 5000, "2026-01-01", "~"]
)
def test_a_whole_number_is_read_as_it_is_written_or_refused(text):
    assert refused(f"count={text}").startswith("count: found ")
    assert "expected a whole number from 1 to 64" in refused(f"count={text}")


@pytest.mark.parametrize("text", ["off", "no", "1", "yes"])
def test_only_true_and_false_are_truth_values(text):
    assert "expected true or false" in refused(f"on={text}")


def test_three_thousand_brackets_are_one_line():
    assert "nested more than 16 deep" in refused("most=" + "[" * 3000)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("cuont=3", "did you mean count?"),
        ("rate_bps=3", "did you mean inner.rate_bps?"),
        ("inner=3", "inner: a section, expected one of its keys, for example inner.rate_bps="),
        ("qqqq=3", "there is inner"),
        ("count", "expected key=value"),
        ("inner.rule=slwo", "expected one of fast, slow"),
        ("inner.rate_bps=.nan", "inner.rate_bps: found nan, expected a number above 0"),
        (
            "sizes=1,-1",
            "sizes: found -1, expected values separated by commas, each a whole number of at least 0",
        ),
    ],
)
def test_a_mistake_names_the_key_and_what_was_expected(word, expected):
    assert expected in refused(word)


def test_a_repeated_key_is_refused_on_a_command_line_and_the_last_wins_elsewhere():
    with pytest.raises(UserError, match="count: given twice"):
        refuse_repeats(["count=3", "count=4"])
    assert made("count=3", "count=4").count == 4


def test_a_section_keeps_the_defaults_that_its_owner_gave_it():
    assert keys_of(Outer)["inner.rate_bps"].default == 3.0


def test_docstrings_below_fields_are_their_meaning_and_names_end_in_units():
    key = keys_of(Outer)["inner.rate_bps"]
    assert (key.meaning, key.unit, key.default_text) == ("How fast.", "bit/s", "3 bit/s")


def test_overlaying_words_leaves_the_values_below_alone():
    below = {"inner": {"rule": "slow"}}
    overlay(below, ["inner.rate_bps=1"], Outer)
    assert below == {"inner": {"rule": "slow"}}


@given(st.integers(1, 64), st.booleans(), st.lists(st.integers(0, 10**12), min_size=1, max_size=5))
def test_a_value_written_out_reads_back_as_itself(count, on, sizes):
    knobs = Outer(count=count, on=on, sizes=tuple(sizes))
    words = [f"{name}={text_of(getattr(knobs, name))}" for name in ("count", "on", "sizes")]
    assert made(*words) == knobs


@given(st.text(max_size=40))
def test_whatever_is_typed_is_a_value_or_one_line(text):
    for key in ("count", "name", "on", "sizes", "most", "inner.rate_bps", "inner", text):
        try:
            made(f"{key}={text}")
        except UserError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n- b", "found a list"),
        ("a: [1, 2", "not YAML: line 1"),
        ("a: 1\na: 2", "line 2: a is given twice"),
        ("a: &x 1\nb: *x", "alias"),
        ("1: 2", "found 1 as a key"),
        ("a: " + "[" * 3000, "nested more than 16 deep"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
        ("a: " + "9" * 5000, "5000 digits"),
    ],
)
def test_a_file_that_is_no_mapping_of_plain_values_says_why(tmp_path, text, expected):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        yaml_values.read(tmp_path / "a.yaml")
    assert expected in str(caught.value) and str(caught.value).startswith(f"{tmp_path / 'a.yaml'}: ")


def test_a_file_is_read_as_it_is_written(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "date: 2026-01-01T00:00:00Z\ntime: 12:30\nrule: off\nzeros: 010\nrate: 3e8\n"
    )
    assert yaml_values.read(tmp_path / "a.yaml") == {
        "date": "2026-01-01T00:00:00Z", "time": "12:30", "rule": "off", "zeros": "010", "rate": 3e8,
    }  # fmt: skip


def test_a_file_of_bytes_or_of_megabytes_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not YAML"):
        yaml_values.read(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(UserError, match="expected at most 1048576"):
        yaml_values.read(tmp_path / "a.yaml")
    with pytest.raises(UserError, match="No such file"):
        yaml_values.read(tmp_path / "b.yaml")
