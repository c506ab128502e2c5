"""Compute times of a board of the user's own, in a YAML file: what `clock.profile=FILE.yaml` reads and
`dlrc bench onboard profile=FILE.yaml` writes on the machine that it runs on.

    name: our board
    source: dlrc bench onboard on our board, 2026-11-26
    patch_px: 256
    k: 20
    hash_ms: 2.4
    arbitrate_ms: 1.3
    models:
      elic: {analysis_ms: 70, hyperprior_ms: 9, coding_ms: 45}
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field

from constellation.clock import TABLE2_K, TABLE2_PATCH_PX, ComputeTimes, DeviceProfile
from constellation.common import yaml_values
from constellation.common.errors import UserError
from constellation.common.files import write_text
from constellation.common.knobs import Knobs, NonNegative, Word, build
from constellation.common.text import shown


class StageTimes(Knobs):
    """One codec, one patch."""

    analysis_ms: NonNegative
    """g_a"""
    hyperprior_ms: NonNegative
    """h_a and z, which need no word of others"""
    coding_ms: NonNegative
    """h_s, context model and range coding"""


class DeviceFile(Knobs):
    """A board's times."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    """of the board"""
    source: Annotated[str, Field(min_length=1, max_length=500)]
    """who measured or estimated it, and how; pages of runs show it"""
    patch_px: Annotated[int, Field(ge=16, le=8192)] = TABLE2_PATCH_PX
    """side of the patch that took this long"""
    k: Annotated[int, Field(ge=1, le=64)] = TABLE2_K
    """hash rounds that `hash_ms` is of"""
    hash_ms: NonNegative
    """Recognizer and Selector"""
    arbitrate_ms: NonNegative
    """Arbiter, Filter and map"""
    models: Annotated[dict[Word, StageTimes], Field(min_length=1, max_length=100)]
    """times by codec"""


def read_device(path: str) -> DeviceProfile:
    """A board's profile out of a YAML file. Raises `UserError`."""
    values, name = yaml_values.read(Path(path)), Path(path).name
    listed = values.get("models")
    for model, one in (listed if isinstance(listed, dict) else {}).items():
        if not isinstance(one, dict):
            raise UserError(f"{name}: models.{model}: found {shown(one)}, expected a section of keys")
        build(StageTimes, one, f"{name}: models.{model}")
    told = build(DeviceFile, values, name)
    times = {
        model: ComputeTimes(
            analysis_s=1e-3 * one.analysis_ms,
            hash_s=1e-3 * told.hash_ms,
            arbitrate_s=1e-3 * told.arbitrate_ms,
            entropy_modelling_s=1e-3 * one.hyperprior_ms,
            entropy_coding_s=1e-3 * one.coding_ms,
            hyperprior_s=1e-3 * one.hyperprior_ms,
        )
        for model, one in told.models.items()
    }
    return DeviceProfile(told.name, told.source, times, told.patch_px, told.k)


def write_device(device: DeviceFile, path: Path) -> None:
    """Write a profile. Raises `UserError`."""
    write_text(path, yaml.safe_dump(device.model_dump(), sort_keys=False, allow_unicode=True))
