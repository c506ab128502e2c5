"""What a record says of generated pictures: apart from the exact product's own figures."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ConfigDict

from ground.metrics import Quality


@dataclass(frozen=True)
class Generated:
    """Quality of a picture that `ground.compensation` made of a satellite's decoded one, against what was
    captured; None where nothing is known of that. kind: of the net. metadata: whether the net was told how
    the view was taken."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    satellite: int
    kind: str
    quality: Quality | None
    metadata: bool = False
