"""Every knob of a run, as frozen pydantic models, and `load_scenario(name, overrides)`.

A scenario is a YAML file of `scenarios/` (or any path to a `.yaml`), laid over the defaults below, and then
over it `section.key=value` overrides from the command line. Unknown keys, wrong types, NaN and booleans where
a number is meant are refused with one line that names the key and the nearest known one."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError

from constellation.common.errors import UserError
from constellation.scenario.network import (
    EnergyKnobs,
    GroundKnobs,
    Knobs,
    LinkKnobs,
    NonNegative,
    OrbitKnobs,
    Positive,
    RegionKnobs,
    SyncKnobs,
    TopologyKnobs,
)

SCENARIO_FOLDER = Path(__file__).resolve().parents[2] / "scenarios"
_EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")
MAX_SCENARIO_BYTES = 1 << 20


class SceneKnobs(Knobs):
    """What is on the ground. An empty `path` means the built-in procedural scene."""

    path: str = ""  # an image file, or a folder of them
    size_px: Annotated[int, Field(ge=64, le=16384)] = 2048  # of the procedural scene
    scale_16bit: Literal["percentile", "full"] = "percentile"  # how 16-bit samples become 8-bit


class CaptureKnobs(Knobs):
    """Paper section 4.1: P x P patches at random multiples of `stride_px` inside a W x W window."""

    patch_px: Annotated[int, Field(ge=64, le=4096, multiple_of=64)] = 256
    stride_px: Annotated[int, Field(ge=1, le=4096)] = 16
    window_px: Annotated[int, Field(ge=64, le=65536)] = 512
    halo_px: Annotated[int, Field(ge=0, le=1024, multiple_of=16)] = 0
    jitter_px: Annotated[float, Field(ge=0, le=64)] = 0.0  # sub-stride shift, uniform in [-jitter, jitter]
    rotation_deg: Annotated[float, Field(ge=0, le=45)] = 0.0  # uniform in [-rotation, rotation]
    gain: Annotated[float, Field(ge=0, lt=1)] = 0.0  # radiometric gain, uniform in [1 - gain, 1 + gain]
    noise: Annotated[float, Field(ge=0, le=64)] = 0.0  # sensor noise, standard deviation in 8-bit counts
    clouds: Annotated[float, Field(ge=0, le=1)] = (
        0.0  # share of a view hidden by clouds that this view alone has
    )


class CodecKnobs(Knobs):
    """Learned image compression model, its checkpoint, and the coding rules of design.md."""

    model: Literal["bmshj", "mbt", "cheng", "elic"] = "bmshj"
    lambda_: Annotated[float, Field(gt=0, alias="lambda")] = 0.013
    weights: str = ""  # a checkpoint file; "" = the shipped one; "zoo" = CompressAI's (needs a network)
    grid: Literal["fixed", "centred"] = "fixed"
    context: Literal["exact", "independent", "open"] = "exact"
    portable: bool = True
    device: Literal["auto", "cpu", "cuda"] = "auto"


class DlrcKnobs(Knobs):
    """Distributed Latent Representation Clustering (paper sections 3.3 to 3.5)."""

    enabled: bool = True
    k: Annotated[int, Field(ge=1, le=64)] = 20  # hash rounds
    rotation: Literal["hadamard", "dense"] = "hadamard"
    magnitude: bool = (
        True  # hash the length of a latent vector beside its direction; false: the paper's signature
    )
    signature: Literal["lsh", "content"] = "lsh"
    representative: Literal["original", "mean"] = "mean"
    dedup: Literal["signature", "footprint"] = "signature"
    map_coding: Literal["successor", "lzma"] = "successor"


class PriorityKnobs(Knobs):
    """Who keeps a signature that several satellites hold: id, link, energy, random, balanced, or
    `module:function`."""

    rule: str = "id"


class ClockKnobs(Knobs):
    """Where simulated compute times come from: the paper's Table 2 (Titan V), or this machine's
    measurement."""

    profile: Literal["titan_v", "measured"] = "titan_v"


class Scenario(Knobs):
    """One experiment, complete and immutable. `satellites` = world size."""

    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,63}$")] = "dense"  # names the folder of a run
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    satellites: Annotated[int, Field(ge=1, le=1024)] = 8
    rounds: Annotated[int, Field(ge=1, le=100000)] = 4
    timeout_s: Annotated[float, Field(ge=1, le=86400)] = 45.0
    output: str = "runs"
    scene: SceneKnobs = SceneKnobs()
    capture: CaptureKnobs = CaptureKnobs()
    codec: CodecKnobs = CodecKnobs(**{"lambda": 0.013})
    dlrc: DlrcKnobs = DlrcKnobs()
    priority: PriorityKnobs = PriorityKnobs()
    clock: ClockKnobs = ClockKnobs()
    orbit: OrbitKnobs = OrbitKnobs()
    link: LinkKnobs = LinkKnobs()
    topology: TopologyKnobs = TopologyKnobs()
    sync: SyncKnobs = SyncKnobs()
    region: RegionKnobs = RegionKnobs()
    ground: GroundKnobs = GroundKnobs()
    energy: EnergyKnobs = EnergyKnobs()

    @property
    def digest(self) -> str:
        """First 8 hex digits of SHA-256 over every knob (the output folder aside): equal digests mean equal
        runs."""
        knobs = self.model_dump(mode="json", by_alias=True, exclude={"output", "timeout_s"})
        return hashlib.sha256(json.dumps(knobs, sort_keys=True).encode()).hexdigest()[:8]


def available_scenarios(folder: Path = SCENARIO_FOLDER) -> list[str]:
    """Names of the shipped scenarios, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_scenario(name: str, overrides: Iterable[str] = ()) -> Scenario:
    """The scenario `name` (shipped, or a path to a YAML file) with `section.key=value` overrides applied.

    Raises `UserError` for an unknown scenario or key, a wrong type, or a value out of range.
    """
    values = _read_yaml(_scenario_path(name))
    values.setdefault("name", Path(name).stem)
    for override in overrides:
        _apply_override(values, override)
    return build_scenario(values, source=f"scenario {name}")


def build_scenario(values: dict[str, Any], source: str = "scenario") -> Scenario:
    """Validate plain values into a `Scenario`; the first fault becomes a one-line `UserError`."""
    try:
        return Scenario.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{source}: {_explain(error)}") from None


def _scenario_path(name: str) -> Path:
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise UserError(f"scenario={name}: no such file")
        return path
    path = SCENARIO_FOLDER / f"{name}.yaml"
    if "/" in name or not path.is_file():
        raise UserError(f"scenario={name}: unknown scenario; there are: {', '.join(available_scenarios())}")
    return path


def _read_yaml(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_SCENARIO_BYTES:
        raise UserError(
            f"{path}: {path.stat().st_size} bytes, expected a scenario of at most {MAX_SCENARIO_BYTES}"
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (
        yaml.YAMLError,
        ValueError,
        RecursionError,
    ) as error:  # ValueError: a date that does not exist, bytes that are not UTF-8
        raise UserError(f"{path}: not YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f"{path}: found a {type(values).__name__}, expected sections of keys")
    return values


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise UserError(f"argument {override!r}: expected key=value, for example codec.model=mbt")
    field = _field_at(key)
    try:
        value = text if field is str or text == "" else yaml.safe_load(text)
        if isinstance(value, str) and _EXPONENT.fullmatch(
            value
        ):  # YAML 1.1 wants a dot and a signed exponent
            value = float(value)
    except (yaml.YAMLError, ValueError):
        raise UserError(f"{key}={text}: not a YAML value") from None
    section = values
    *path, last = key.split(".")
    for part in path:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise UserError(f"{key}: {part} is a value, not a section")
    section[last] = value


def _known_keys(model: type[BaseModel] = Scenario, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _known_keys(field.annotation, key + ".")
        else:
            yield key, field.annotation


def _field_at(key: str) -> Any:
    known = dict(_known_keys())
    if key not in known:
        raise UserError(f"{key}: unknown key{_suggest(key, known)}")
    return known[key]


def _suggest(key: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if not near:
        near = [other for other in known if other.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]][:1]
    return f"; did you mean {near[0]}?" if near else f"; sections are {', '.join(Scenario.model_fields)}"


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{key}: unknown key{_suggest(key, (name for name, _ in _known_keys()))}"
    found = first.get("input")
    return f"{key}: found {found!r}, {first['msg'][:1].lower()}{first['msg'][1:]}"
