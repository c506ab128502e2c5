"""Knobs of what is seen: the scene on the ground, and how satellites capture it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from constellation.common.knobs import ADDED, Knobs, Says

NUMBERS = r"^([0-9]{1,5}(,[0-9]{1,5}){0,31})?$"
COLOURS = r"^([1-9][0-9]?(,[1-9][0-9]?,[1-9][0-9]?)?)?$"


class SceneKnobs(Knobs):
    """What is on the ground: pictures, or the built-in procedural scene."""

    path: str = ""
    """an image file, or a folder of them; none: the built-in scene"""
    size_px: Annotated[int, Field(ge=64, le=16384)] = 2048
    """side of the built-in scene"""
    bands: Annotated[str, Field(pattern=NUMBERS), Says("bands by number, as 4 or 3,2,1"), ADDED] = ""
    """red, green and blue (or one band) by number, as in 3,2,1; none: the file's own names decide. For a
    codec of more bands: which, in its order; none: all"""
    colours: Annotated[str, Field(pattern=COLOURS), Says("one number or three, as 4 or 3,2,1"), ADDED] = ""
    """bands of a codec of more than three to show as red, green and blue; none: 3,2,1"""
    scale_16bit: Literal["percentile", "full"] = "percentile"
    """how samples of more than 8 bits become 8"""


class CaptureKnobs(Knobs):
    """Patches of one size, at random places of a window, and what disturbs them (section 4.1)."""

    mode: Annotated[Literal["window", "orbit"], ADDED] = "window"
    """patches at random places of a window, or what a satellite sees from its orbit (section sight)"""
    patch_px: Annotated[int, Field(ge=64, le=4096, multiple_of=64)] = 256
    """side of a patch"""
    stride_px: Annotated[int, Field(ge=1, le=4096)] = 16
    """patches lie at multiples of it"""
    window_px: Annotated[int, Field(ge=64, le=65536)] = 512
    """side of the window that all patches of a round share"""
    halo_px: Annotated[int, Field(ge=0, le=1024, multiple_of=16)] = 0
    """how much more than its patch a satellite sees, each side"""
    jitter_px: Annotated[float, Field(ge=0, le=64)] = 0.0
    """shift below the stride, uniform either way"""
    rotation_deg: Annotated[float, Field(ge=0, le=45)] = 0.0
    """uniform either way"""
    gain: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """radiometric, uniform in 1 - gain to 1 + gain"""
    flaws: Annotated[Literal["uniform", "bound"], ADDED] = "uniform"
    """shift, rotation and gain up to their bounds, or at the bounds, either way"""
    noise: Annotated[float, Field(ge=0, le=64)] = 0.0
    """of the sensor, standard deviation in 8-bit counts"""
    clouds: Annotated[float, Field(ge=0, le=1)] = 0.0
    """share of a view under clouds that this view alone has"""
