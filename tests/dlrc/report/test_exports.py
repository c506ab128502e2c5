"""What a run exports is read by readers that know nothing of this project: a JSON-schema validator, pandas,
Pillow; and its trace is what Chrome's trace event format says."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pandas
import pytest
from PIL import Image

from dlrc.report import draw
from dlrc.report.tables import tables
from tests.dlrc.report.page_cases import rich
from tests.dlrc.run_cases import run

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    draw(rich(), folder)
    return folder


def test_a_summary_is_valid_by_its_published_schema_and_a_changed_one_is_not():
    schema = json.loads((DOCS / "summary.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    summary = json.loads(rich().summary.model_dump_json())
    jsonschema.validate(summary, schema)
    for broken in ({**summary, "seed": "none"}, {**summary, "more": 1}, {"scenario": "dense"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema)


def test_the_published_schema_is_that_of_the_program():
    import importlib.util

    spec = importlib.util.spec_from_file_location("schema", DOCS / "make" / "schema.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.TARGET.read_text(encoding="utf-8") == made.schema()


def test_pandas_reads_the_same_from_csv_and_parquet_as_the_run_has(drawn):
    for name, columns in tables(rich()).items():
        csv, parquet = (
            pandas.read_csv(drawn / f"tables/{name}.csv"),
            pandas.read_parquet(drawn / f"tables/{name}.parquet"),
        )
        assert list(csv.columns) == list(parquet.columns) == list(columns)
        for column, values in columns.items():
            wanted = pandas.Series(list(values))
            if wanted.dtype.kind in "if":
                for read in (csv[column], parquet[column]):
                    assert np.allclose(read.astype(float), wanted.astype(float), equal_nan=True), column
            else:
                assert parquet[column].fillna("").tolist() == wanted.fillna("").tolist(), column


def test_the_positions_table_has_every_position_once(drawn):
    positions = pandas.read_parquet(drawn / "tables/positions.parquet")
    assert len(positions) == 2 * 2 * 16 * 16
    assert not positions.duplicated(["round", "satellite", "row", "column"]).any()
    assert set(positions.fate) <= {"kept", "local", "remote", "inexact"}


def test_pictures_carry_their_alternative_text(drawn):
    for path in drawn.glob("*.png"):
        with Image.open(path) as picture:
            told = picture.info["Description"]
            assert "round" in told and len(told) > 60
            assert told[:40].replace("&", "&amp;") in picture.info["XML:com.adobe.xmp"]


def test_the_trace_is_what_the_trace_event_format_says_and_its_link_tracks_are_filled(drawn):
    trace = json.loads((drawn / "trace.json").read_text(encoding="utf-8"))
    names = {e["tid"]: e["args"]["name"] for e in trace["traceEvents"] if e.get("name") == "thread_name"}
    spans = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    for event in spans:
        assert {"name", "cat", "pid", "tid", "ts", "dur"} <= event.keys()
        assert event["ts"] >= 0 and event["dur"] >= 0 and event["tid"] in names
    for satellite in range(2):
        on_links = {e["name"] for e in spans if names[e["tid"]] == f"satellite {satellite} (links)"}
        assert on_links == {"sync", "downlink"}
    for tid in names:  # slices of a thread nest or follow each other
        ends = []
        for event in sorted((e for e in spans if e["tid"] == tid), key=lambda e: (e["ts"], -e["dur"])):
            while ends and ends[-1] <= event["ts"] + 1e-3:
                ends.pop()
            assert not ends or event["ts"] + event["dur"] <= ends[-1] + 1e-3
            ends.append(event["ts"] + event["dur"])


def test_a_run_without_rounds_of_pictures_or_network_has_tables_all_the_same():
    assert {"rounds", "satellites", "spans", "knobs"} <= tables(run()).keys()
