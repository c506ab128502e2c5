"""Families of codecs, as command lines name them."""

from __future__ import annotations

from collections.abc import Sequence

from codec.models import registry
from constellation.common.errors import UserError
from constellation.common.text import nearest


def known_models(models: Sequence[str], key: str = "models") -> tuple[str, ...]:
    """The families asked for, each once. Raises `UserError` for one that there is not."""
    for model in models:
        if model not in registry.names():
            near = nearest(model, registry.names())
            hint = f"did you mean {near}?" if near else f"there are {', '.join(registry.names())}"
            raise UserError(f"{key}={','.join(models)}: {model or 'nothing'} is no model; {hint}")
    return tuple(dict.fromkeys(models))
