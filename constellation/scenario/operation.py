"""Knobs of how a constellation is run: who goes first, and which clock is believed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from constellation.common.knobs import Knobs


class PriorityKnobs(Knobs):
    """Who keeps a vector that several satellites hold."""

    rule: Annotated[str, Field(min_length=1, max_length=200)] = "id"
    """id, link, energy, random, balanced, or module:function of your own"""
    trust: bool = False
    """allow module:function, which runs code; on the command line only"""

    @model_validator(mode="after")
    def _code_runs_only_where_trusted(self) -> PriorityKnobs:
        if ":" in self.rule and not self.trust:
            module, _, function = self.rule.partition(":")
            raise ValueError(
                f"priority.rule={self.rule}: would run code, {function} of the Python module {module}; "
                "where you trust it, give priority.trust=true"
            )
        return self


class ClockKnobs(Knobs):
    """Where simulated compute times come from."""

    profile: Literal["titan_v", "measured"] = "titan_v"
    """the paper's Table 2 (Titan V), or this machine's own"""
