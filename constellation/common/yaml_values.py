"""Plain values out of YAML, read as they are written.

YAML 1.1, which PyYAML speaks, reads `off` as false, `12:30` as 750, `010` as 8 and an unquoted date as no
text at all. Here, as in YAML 1.2, only `true` and `false` are truth values, a number is written in decimal
digits without leading zeros, and everything else is text; whatever expected a number then says what it found.
Repeated keys, aliases and deep nesting are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from constellation.common.errors import UserError

MAX_FILE_BYTES = 1 << 20
MAX_DEPTH = 16
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$")
_FLOAT = re.compile(
    r"^[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"
    r"|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
)
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's plain scalars, and with limits."""

    yaml_implicit_resolvers: ClassVar[dict] = {}
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("found an alias (*name); write the value out")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.YAMLError(f"nested more than {MAX_DEPTH} deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for place, key in enumerate(keys):
            if not isinstance(key, str):
                raise yaml.YAMLError(
                    f"line {node.value[place][0].start_mark.line + 1}: found {key!r} as a key"
                )
            if key in keys[:place]:
                raise yaml.YAMLError(f"line {node.value[place][0].start_mark.line + 1}: {key} is given twice")
        return super().construct_mapping(node, deep=deep)


for _tag, _pattern, _first in (
    ("bool", _BOOL, "tTfF"),
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
    ("null", _NULL, ["~", "n", "N", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, list(_first))


def _whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


def _real(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node).lower().replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor("tag:yaml.org,2002:int", _whole)
_Loader.add_constructor("tag:yaml.org,2002:float", _real)


def parse(text: str) -> Any:
    """The value that YAML text stands for. Raises `UserError` that says why it is none."""
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(_reason(error)) from None


def read(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file; empty for an empty one. Raises `UserError` for what is not YAML,
    not a mapping, or too large."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise UserError(f"{path}: {size} bytes, expected at most {MAX_FILE_BYTES}")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise UserError(f"{path}: not YAML: {error}") from None
    try:
        values = parse(text)
    except UserError as error:
        raise UserError(f"{path}: not YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f"{path}: found a {type(values).__name__}, expected sections of keys")
    return values


def _reason(error: Exception) -> str:
    """The parser's complaint with its line, without the text around it."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem or error.context}"
    return str(error)
