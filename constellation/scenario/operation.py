"""Knobs of how a constellation is run: who goes first, and which clock is believed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from constellation.common.knobs import Knobs, Says

PROFILES = Says("titan_v, measured, or a .yaml file of a board's times")


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

    profile: Annotated[str, Field(pattern=r"^(titan_v|measured|.{1,1000}\.ya?ml)$"), PROFILES] = "titan_v"
    """titan_v, the paper's Table 2; measured, this machine's own; or a board's, a YAML file"""

    @property
    def builtin(self) -> bool:
        """Whether no file is read for it."""
        return self.profile in ("titan_v", "measured")
