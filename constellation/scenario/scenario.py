"""Every knob of a run, as one frozen value of sections."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

from pydantic import Field, model_validator

from constellation.common.knobs import ADDED, Knobs, without_added
from constellation.scenario.coding import CodecKnobs, DlrcKnobs
from constellation.scenario.faults import FaultKnobs
from constellation.scenario.imaging import CaptureKnobs, SceneKnobs
from constellation.scenario.network import (
    EnergyKnobs,
    GroundKnobs,
    LinkKnobs,
    OrbitKnobs,
    RegionKnobs,
    SyncKnobs,
    TopologyKnobs,
)
from constellation.scenario.operation import ClockKnobs, PriorityKnobs
from constellation.scenario.sight import SightKnobs

_NO_RESULT = {
    "output": True,
    "timeout_s": True,
    "resume": True,
    "satellites_per_rank": True,
    "priority": {"trust"},
}  # knobs that change no result


class NetworkScenario(Knobs):
    """The space network alone: orbits, links, topology, sync, region, ground station, energy."""

    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,63}$")] = "dense"
    """names the folder of a run; the scenario's own by default"""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """of every draw"""
    satellites: Annotated[int, Field(ge=1, le=1024)] = 8
    """that take part in a round"""
    rounds: Annotated[int, Field(ge=1, le=100000)] = 4
    """captures, one window each"""
    timeout_s: Annotated[float, Field(ge=1, le=86400)] = 45.0
    """after which a silent process is given up"""
    output: str = "runs"
    """folder that results are written below"""
    orbit: OrbitKnobs = OrbitKnobs()
    link: LinkKnobs = LinkKnobs()
    topology: TopologyKnobs = TopologyKnobs()
    sync: SyncKnobs = SyncKnobs()
    region: RegionKnobs = RegionKnobs()
    ground: GroundKnobs = GroundKnobs()
    energy: EnergyKnobs = EnergyKnobs()
    sight: Annotated[SightKnobs, ADDED] = SightKnobs()

    @property
    def orbital(self) -> bool:
        """Whether rounds are the windows in which satellites look at the region, not instants of the
        clock."""
        return False

    @property
    def files(self) -> dict[str, str]:
        """Paths of what is read beside checkpoints, by knob: no knob tells that such a file was changed."""
        orbit, topology, sight = self.orbit, self.topology, self.sight
        paths = {
            "orbit.path": orbit.path,
            "topology.path": topology.path,
            "sight.targets": sight.targets,
            "sight.dem": sight.dem,
        }
        return {knob: path for knob, path in paths.items() if path}

    @property
    def digest(self) -> str:
        """First 8 hex digits of SHA-256 over every knob that can change a result: equal digests mean equal
        runs (over the same pictures and weights)."""
        knobs = self.model_dump(mode="json", by_alias=True, exclude=_NO_RESULT)
        knobs = without_added(self, knobs)
        return hashlib.sha256(json.dumps(knobs, sort_keys=True).encode()).hexdigest()[:8]


class Scenario(NetworkScenario):
    """One experiment, complete: the space network, what is seen, how it is coded, who goes first, what goes
    wrong."""

    resume: bool = False
    """go on with a run that was cut short, after its last whole round"""
    satellites_per_rank: Annotated[int, Field(ge=1, le=1024)] = 1
    """satellites that one process flies, with one copy of the weights; no byte depends on it"""
    scene: SceneKnobs = SceneKnobs()
    capture: CaptureKnobs = CaptureKnobs()
    codec: CodecKnobs = CodecKnobs()
    dlrc: DlrcKnobs = DlrcKnobs()
    priority: PriorityKnobs = PriorityKnobs()
    clock: ClockKnobs = ClockKnobs()
    faults: Annotated[FaultKnobs, ADDED] = FaultKnobs()

    @property
    def files(self) -> dict[str, str]:
        """Paths of what is read beside checkpoints, by knob: no knob tells that such a file was changed."""
        pictures = {"scene.path": self.scene.path} if self.scene.path else {}
        boards = {} if self.clock.builtin else {"clock.profile": self.clock.profile}
        return {**pictures, **super().files, **boards}

    @model_validator(mode="after")
    def _streams_need_what_predicts(self) -> Scenario:
        codec, dlrc, priority = self.codec, self.dlrc, self.priority
        if ":" in dlrc.reference_rule and not priority.trust:
            module, _, function = dlrc.reference_rule.partition(":")
            raise ValueError(
                f"dlrc.reference_rule={dlrc.reference_rule}: would run code, {function} of the Python module "
                f"{module}; where you trust it, give priority.trust=true"
            )
        if dlrc.remembers and codec.grid != "fixed":
            raise ValueError(f"codec.grid={codec.grid}: dlrc.memory={dlrc.memory} needs fixed")
        if dlrc.streams:
            for key, found, expected in (
                ("codec.grid", codec.grid, "fixed"),
                ("codec.context", codec.context, "exact"),
                ("codec.portable", codec.portable, True),
                ("priority.rule", priority.rule, "a rule that makes one order of the satellites"),
            ):
                if found != expected and (key != "priority.rule" or found == "balanced"):
                    raise ValueError(
                        f"{key}={str(found).lower()}: dlrc.exchange=streams needs {str(expected).lower()}"
                    )
        return self

    @model_validator(mode="after")
    def _orbits_decide_alone(self) -> Scenario:
        if not self.orbital:
            return self
        for key, found, expected in (
            ("sync.scope", self.sync.scope, "all"),
            ("capture.jitter_px", self.capture.jitter_px, 0.0),
            ("capture.rotation_deg", self.capture.rotation_deg, 0.0),
        ):
            if found != expected:
                raise ValueError(
                    f"{key}={found}: with capture.mode=orbit the geometry decides, expected {expected}"
                )
        return self

    @property
    def orbital(self) -> bool:
        return self.capture.mode == "orbit"

    @property
    def ranks(self) -> int:
        """Processes that fly its satellites: the last one may have fewer than the others."""
        return -(-self.satellites // self.satellites_per_rank)

    def crew_of_rank(self, rank: int) -> range:
        """The satellites that process number `rank` flies."""
        first = rank * self.satellites_per_rank
        return range(first, min(first + self.satellites_per_rank, self.satellites))

    def said_of_ranks(self, ranks: int) -> tuple[str, str]:
        """For whoever starts another number of ranks than it needs: what it has, and what would need
        `ranks`."""
        has, each = f"satellites={self.satellites}", self.satellites_per_rank
        if each == 1:
            return has, f"satellites={ranks}"
        per_rank = -(-self.satellites // ranks)
        fits = -(-self.satellites // per_rank) == ranks
        return (
            f"{has} satellites_per_rank={each}",
            f"satellites_per_rank={per_rank}" if fits else f"satellites={ranks * each}",
        )

    @property
    def network(self) -> NetworkScenario:
        """Its space network alone."""
        fields = NetworkScenario.model_fields
        return NetworkScenario.model_construct(**{name: getattr(self, name) for name in fields})

    @property
    def notes(self) -> tuple[str, ...]:
        """What somebody who starts a run should be told, a line each."""
        lines = []
        if not self.scene.path:
            lines.append(
                "no picture given: the built-in procedural scene is flown; scene.path=FILE takes yours"
            )
        if ":" in self.priority.rule:
            lines.append(
                f"priority.rule={self.priority.rule}: runs code, because priority.trust=true says so"
            )
        if ":" in self.dlrc.reference_rule:
            rule = f"dlrc.reference_rule={self.dlrc.reference_rule}"
            lines.append(f"{rule}: runs code, because priority.trust=true says so")
        return tuple(lines)
