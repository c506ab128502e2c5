"""Knobs: frozen pydantic models with sections, and the one machine that fills them from YAML and words.

A model is a class of fields, each with a default and a docstring below it, which `--help` prints; a field
that is itself `Knobs` is a section, and `section.key` names what is in it. Nothing is converted in silence: a
number must be written as one, a truth value as true or false. Every fault is one line that names the key,
what was found and what was expected."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeGuard, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticUndefined

from constellation.common import yaml_values
from constellation.common.errors import UserError
from constellation.common.text import nearest, plain_number, shown

T = TypeVar("T")
M = TypeVar("M", bound="Knobs")

Several = Annotated[tuple[T, ...], Field(strict=False, min_length=1, max_length=1000)]
"""Values separated by commas on the command line, a list in YAML; at least one."""

Positive = Annotated[float, Field(gt=0, le=1e18)]
NonNegative = Annotated[float, Field(ge=0, le=1e18)]


@dataclass(frozen=True)
class Says:
    """In `Annotated[str, Field(pattern=...), Says("a date")]`: what is expected, where no type tells."""

    words: str


Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$"), Says("a word of small letters")]
ADDED = "added"
"""In `Annotated[bool, ADDED]`: a knob younger than the digests of runs, not in them at its default."""

UNITS = {
    "_px": "px", "_km": "km", "_m": "m", "_m_s": "m/s", "_s": "s", "_deg": "deg", "_days": "days",
    "_mhz": "MHz", "_ghz": "GHz", "_dbm": "dBm", "_dbi": "dBi", "_db": "dB", "_k": "K", "_bps": "bit/s",
    "_w": "W", "_wh": "Wh", "_kib": "KiB", "_mib": "MiB", "_pct": "%",
}  # fmt: skip


class Knobs(BaseModel):
    """Base of every section and of every command's own keys: frozen, and unknown keys, NaN, infinity and
    booleans as numbers are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, strict=True, use_attribute_docstrings=True
    )


@dataclass(frozen=True)
class Key:
    """One knob of a model: its dotted name, type, constraints, default (`needed` where there is none), and
    what it means."""

    name: str
    annotation: Any
    constraints: tuple[Any, ...]
    default: Any
    meaning: str

    @property
    def needed(self) -> bool:
        return self.default is PydanticUndefined

    @property
    def section(self) -> str:
        """The first part of a dotted name; "" for a key outside any section."""
        return self.name.partition(".")[0] if "." in self.name else ""

    @property
    def unit(self) -> str:
        """From the end of the name; "" where there is none."""
        found = [suffix for suffix in UNITS if self.name.endswith(suffix)]
        return UNITS[max(found, key=len)] if found else ""

    @property
    def expects(self) -> str:
        """What a value must be: "a whole number from 1 to 64"."""
        return _expects(self.annotation, self.constraints)

    @property
    def default_text(self) -> str:
        """The default with its unit, as one would type it; "needed" where there is none."""
        if self.needed:
            return "needed"
        text = text_of(self.default)
        return f"{text} {self.unit}".rstrip() if text else "none"


def keys_of(model: type[Knobs], prefix: str = "", defaults: Knobs | None = None) -> dict[str, Key]:
    """Every knob of a model by dotted name, in the order of the class, sections opened."""
    found: dict[str, Key] = {}
    for name, field in model.model_fields.items():
        default = field.get_default() if defaults is None else getattr(defaults, name)
        key = prefix + (field.alias or name)
        if is_section(field.annotation):
            inside = default if isinstance(default, Knobs) else None
            found |= keys_of(field.annotation, key + ".", inside)
        else:
            meaning = " ".join((field.description or "").split())
            found[key] = Key(key, field.annotation, tuple(field.metadata), default, meaning)
    return found


def sections_of(model: type[Knobs]) -> dict[str, type[Knobs]]:
    """The sections of a model by name, in the order of the class."""
    return {
        field.alias or name: field.annotation
        for name, field in model.model_fields.items()
        if is_section(field.annotation)
    }


def without_added(knobs: Knobs, values: dict[str, Any]) -> dict[str, Any]:
    """The dumped values of a model without its ADDED knobs that are at their defaults."""
    out = {}
    for name, field in type(knobs).model_fields.items():
        key, held = field.alias or name, getattr(knobs, name)
        if key in values and not (ADDED in field.metadata and held == field.default):
            out[key] = without_added(held, values[key]) if isinstance(held, Knobs) else values[key]
    return out


def is_section(annotation: Any) -> TypeGuard[type[Knobs]]:
    return isinstance(annotation, type) and issubclass(annotation, Knobs)


def build(model: type[M], values: Mapping[str, Any], source: str = "") -> M:
    """The model filled with plain values. Raises `UserError` for the first fault, which begins with `source`
    (the file that it stands in)."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError((f"{source}: " if source else "") + explain(error, model)) from None
    except RecursionError:
        raise UserError(f"{source or model.__name__}: nested too deep") from None


def overlay(values: dict[str, Any], words: Sequence[str], model: type[Knobs]) -> dict[str, Any]:
    """Plain values with `section.key=value` words laid over them; the last of a key wins. Raises `UserError`
    for an unknown key and for a value that is none."""
    keys = keys_of(model)
    out = _copied(values)
    for word in words:
        name, text = split_word(word)
        if name not in keys:
            raise UserError(unknown_key(name, keys, sections_of(model)))
        _place(out, name, value_of(keys[name], text))
    return out


def refuse_repeats(words: Iterable[str]) -> None:
    """Raises `UserError` where a key is given twice on one command line."""
    seen: dict[str, str] = {}
    for word in words:
        name, text = split_word(word)
        if name in seen:
            raise UserError(f"{name}: given twice ({shown(seen[name])} and {shown(text)})")
        seen[name] = text


def split_word(word: str) -> tuple[str, str]:
    """Key and text of a `key=value` word. Raises `UserError`."""
    name, separator, text = word.partition("=")
    if not separator or not name:
        raise UserError(f"argument {shown(word)}: expected key=value")
    return name, text


def value_of(key: Key, text: str) -> Any:
    """The plain value that a word's text stands for, by what the key expects; it is not checked here."""
    try:
        return _typed(text, key.annotation)
    except UserError as error:
        raise UserError(f"{key.name}: found {shown(text)} ({error}), expected {key.expects}") from None


def unknown_key(name: str, keys: Iterable[str], sections: Iterable[str] = ()) -> str:
    """The line that says so, with the nearest key."""
    keys, sections = list(keys), list(sections)
    if name in sections:
        inside = [key for key in keys if key.startswith(f"{name}.")]
        return f"{name}: a section, expected one of its keys, for example {inside[0]}="
    near = nearest(name, keys)
    if near:
        return f"{shown(name)[1:-1]}: unknown key; did you mean {near}?"
    there = sections or keys
    return f"{shown(name)[1:-1]}: unknown key; there {'are' if len(there) > 1 else 'is'} {', '.join(there)}"


def explain(error: ValidationError, model: type[Knobs]) -> str:
    """The first fault of a validation in one line."""
    first = error.errors()[0]
    keys = keys_of(model)
    parts = [str(part) for part in first["loc"]]
    name = ".".join(parts)
    if first["type"] == "extra_forbidden":
        return unknown_key(name, keys, sections_of(model))
    own = next((n for n in (".".join(parts[:end]) for end in range(len(parts), 0, -1)) if n in keys), None)
    if first["type"] == "value_error":  # keys that do not go together: a validator's own words
        words = str(first.get("ctx", {})["error"])
        return words if own is None else f"{own}: found {shown(first['input'])}, {words}"
    if own is None:
        return f"{name}: found {shown(first.get('input'))}, expected a section of keys"
    if first["type"] == "missing":
        return f"{own}: missing; expected {keys[own].expects}"
    text_wanted = first["type"] == "string_type" and isinstance(first["input"], (int, float))
    hint = "; write it in quotes" if text_wanted else ""
    return f"{own}: found {shown(first.get('input'))}, expected {keys[own].expects}{hint}"


def text_of(value: Any) -> str:
    """A plain value as one would type it on the command line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return plain_number(value)
    if isinstance(value, (tuple, list)):
        return ",".join(text_of(part) for part in value)
    return str(value)


def _copied(values: Any) -> Any:
    return {key: _copied(part) for key, part in values.items()} if isinstance(values, dict) else values


def _place(values: dict[str, Any], name: str, value: Any) -> None:
    *path, last = name.split(".")
    for part in path:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise UserError(f"{name}: {part} is a value, not a section")
    values[last] = value


def _typed(text: str, annotation: Any) -> Any:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _typed(text, inside[0])
    if origin in (Union, types.UnionType):
        if text == "" and type(None) in inside:
            return None
        if any(get_origin(part) is Literal and text in get_args(part) for part in inside):
            return text
        return _typed(text, next(p for p in inside if p is not type(None) and get_origin(p) is not Literal))
    if origin is tuple:
        bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        return tuple(_typed(part.strip(), inside[0]) for part in bare.split(","))
    if annotation is str or origin is Literal or text == "":
        return text
    return yaml_values.parse(text)


def _expects(annotation: Any, constraints: Sequence[Any]) -> str:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        field = [part for given in inside[1:] for part in getattr(given, "metadata", [given])]
        return _expects(inside[0], [*constraints, *field])
    if origin in (Union, types.UnionType):
        parts = [_expects(part, constraints) for part in inside if part is not type(None)]
        return " or ".join(parts + (["nothing"] if type(None) in inside else []))
    if origin is Literal:
        return inside[0] if len(inside) == 1 else f"one of {', '.join(map(str, inside))}"
    if origin is tuple:
        return f"values separated by commas, each {_expects(inside[0], ())}"
    if said := [part.words for part in constraints if isinstance(part, Says)]:
        return said[0]
    bounds = {
        name: getattr(part, name)
        for part in constraints
        for name in ("ge", "gt", "le", "lt", "multiple_of", "min_length", "pattern")
        if getattr(part, name, None) is not None
    }
    if annotation is bool:
        return "true or false"
    if annotation in (int, float):
        multiple = bounds.get("multiple_of")
        kind = "a whole number" if annotation is int else "a number"
        return f"a multiple of {multiple}" * bool(multiple) + kind * (not multiple) + _range(bounds)
    pattern = bounds.get("pattern")
    text = f"text like {pattern}" if pattern else "text"
    return "some text" if text == "text" and bounds.get("min_length") else text


def _range(bounds: Mapping[str, Any]) -> str:
    low, high = bounds.get("ge"), bounds.get("le")
    if low is not None and high is not None:
        return f" from {_limit(low)} to {_limit(high)}"
    words = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below"}
    found = [f"{words[name]} {_limit(bounds[name])}" for name in ("ge", "gt", "le", "lt") if name in bounds]
    return " " + " and ".join(found) if found else ""


def _limit(value: float) -> str:
    power = int(value).bit_length() - 1
    return f"2^{power}" if power > 23 and value == 2**power else plain_number(value)
