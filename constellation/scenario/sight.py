"""Knobs of what satellites see from their orbits (`capture.mode=orbit`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from constellation.common.knobs import Knobs


class SightKnobs(Knobs):
    """Cameras on orbits, under `capture.mode=orbit`: who looks when, and what of the ground is in a frame."""

    gsd_m: Annotated[float, Field(gt=0, le=1e5)] = 5.0
    """of a pixel at the nadir; and of the common map grid"""
    aim: Literal["target", "swath"] = "target"
    """turn to the target, or look down and keep the frame of the swath that the target falls into"""
    grid: Literal["map", "sensor"] = "map"
    """code the frame resampled to the common map grid, or as the sensor has it"""
    window_s: Annotated[float, Field(ge=0, le=1e7)] = 900.0
    """looks within it of the first one are one round"""
    at_least: Annotated[int, Field(ge=1, le=1024)] = 1
    """satellites that look within a window; windows with fewer are no rounds"""
    targets: str = ""
    """CSV of lat, lon and priority; none: the region's point"""
    looks_per_target: Annotated[int, Field(ge=1, le=1024)] = 1024
    """satellites that one target gets in a window, at most"""
    min_sun_deg: Annotated[float, Field(ge=-90, le=90)] = -90.0
    """how high the Sun must stand at the target"""
    pointing_deg: Annotated[float, Field(ge=0, le=10)] = 0.02
    """by how much a camera points beside its target, uniform either way, each axis; the satellite knows"""
    knowledge_deg: Annotated[float, Field(ge=0, le=1)] = 0.0
    """by how much it errs about where it points, uniform either way, each axis"""
    scene_gsd_m: Annotated[float, Field(ge=0, le=1e5)] = 0.0
    """of a scene that does not say where it is, which lies around the region's point; 0: gsd_m"""
    dem: str = ""
    """file of terrain heights in m, any georeferenced raster; none: relief_m"""
    relief_m: Annotated[float, Field(ge=0, le=9000)] = 0.0
    """of the built-in terrain, lowest to highest"""
