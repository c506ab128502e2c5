"""The tidy table of a grid: a row a combination, with what varies, where its run is, and every figure of its
summary. Nothing of the host is in it, so it is the same to the byte however often a sweep was cut short."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from constellation.common.knobs import keys_of, split_word
from constellation.scenario.load import SCENARIO
from dlrc.store.folder import open as open_run
from dlrc.sweep.grid import Grid


def table_of(grid: Grid, folders: Sequence[Path], faults: Mapping[Path, str]) -> dict[str, list[Any]]:
    """Columns of equal length. folders: of each combination; faults: of those whose run failed, in a line."""
    summaries = {
        folder: dict(_flat(open_run(folder).summary.model_dump(mode="json")))
        for folder in dict.fromkeys(folders)
        if folder not in faults
    }
    figures = dict.fromkeys(name for figures in summaries.values() for name in figures)
    rows = []
    for one, folder in zip(grid.combinations, folders, strict=True):
        known = {
            name: key.default for name, key in keys_of(type(one.scenario), defaults=one.scenario).items()
        }
        texts = dict(map(split_word, one.words))
        varied = {key: texts[key] if key == SCENARIO.key else _plain(known[key]) for key in grid.keys}
        told = summaries.get(folder, {})
        rows.append(
            {
                **varied,
                "run": folder.name,
                "fault": faults.get(folder, ""),
                **{name: told.get(name) for name in figures if name not in varied},
            }
        )
    return {name: [row[name] for row in rows] for name in rows[0]}


def _plain(given: Any) -> Any:
    return ",".join(map(str, given)) if isinstance(given, tuple) else given


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, given in values.items():
        if isinstance(given, dict):
            yield from _flat(given, f"{prefix}{key}.")
        elif not isinstance(given, list):
            yield f"{prefix}{key}", given
