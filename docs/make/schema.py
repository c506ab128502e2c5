"""Write docs/summary.schema.json, the published schema of a run's `summary.json`, from the model that writes
it.

    PYTHONPATH=. python docs/make/schema.py
"""

from __future__ import annotations

import json
from pathlib import Path

from constellation.common.files import write_text
from dlrc.store.summary import RunSummary

TARGET = Path(__file__).resolve().parents[1] / "summary.schema.json"
ADDRESS = "https://json-schema.org/draft/2020-12/schema"


def schema() -> str:
    """JSON Schema, draft 2020-12."""
    model = RunSummary.model_json_schema(by_alias=True, mode="serialization")
    return json.dumps({"$schema": ADDRESS, **model, "title": "summary.json of a run"}, indent=1) + "\n"


if __name__ == "__main__":
    write_text(TARGET, schema())
