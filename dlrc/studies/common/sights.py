"""What the satellites of a scenario see in a round, to be looked at outside of any run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from codec.imagery.scene import open_scene
from constellation.scenario.imaging import CaptureKnobs, SceneKnobs
from nodes.capture import Capture, capture


@dataclass(frozen=True)
class Sights:
    """The ground, how it is captured, and the seed of every draw: what follows is what a run sees."""

    scene: SceneKnobs
    captured: CaptureKnobs
    seed: int

    def under(self, **knobs: float) -> Sights:
        """The same ground, captured under other knobs of `capture`. Whoever names them answers for their
        bounds."""
        return replace(self, captured=self.captured.model_copy(update=knobs))

    def look(self, number: int, satellite: int) -> tuple[Capture, str]:
        """The capture of a satellite in round `number`, and the scene's name. Raises `UserError`."""
        scene = open_scene(self.scene, self.seed, number, self.captured.window_px)
        return capture(scene, self.captured, self.seed, number, satellite), scene.name
