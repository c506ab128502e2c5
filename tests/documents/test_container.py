"""The page about the container is the code's own table of fields."""

import importlib.util
from pathlib import Path

from codec.fields import FIELDS
from codec.settings import SETTINGS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_about_the_container_is_current():
    spec = importlib.util.spec_from_file_location("container_page", DOCS / "make" / "container.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    written = (DOCS / "container.md").read_text(encoding="utf-8")
    assert written == maker.page(), "python docs/make/container.py"


def test_the_page_about_the_container_names_every_field_and_setting():
    written = (DOCS / "container.md").read_text(encoding="utf-8")
    for part in (*FIELDS, *SETTINGS):
        assert f"| {part.name}" in written
