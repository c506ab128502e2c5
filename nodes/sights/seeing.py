"""A crew's `see`: the scene is opened, each satellite's patch is read from it and analysed. Reading is not on
the clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from codec.imagery.scaling import Bands
from codec.imagery.scene import open_scene
from constellation.common.errors import UserError
from constellation.network import SpaceSegment
from constellation.scenario.imaging import CaptureKnobs, SceneKnobs
from constellation.scenario.scenario import NetworkScenario
from constellation.sight.targets import targets_of
from nodes.capture import capture, look_of
from nodes.crew import Look, Rules, See, View
from nodes.encoder import analyse, view_of
from nodes.process.board import Board
from nodes.sights.ground import Ground, ground_of
from nodes.sights.orbit import held_at, look_from_orbit, unsteady
from nodes.timeline import Watch

Looker = Callable[[int, Sequence[int]], "list[Look]"]  # round, satellites -> looks of those that have one


def seeing(board: Board, rules: Rules, looker: Looker, watch: Watch) -> See:
    """How a crew comes by its views of a round."""

    def see(number: int, satellites: Sequence[int]) -> list[View]:
        views = []
        for look in looker(number, satellites):
            with watch.span("analysis", look.satellite):
                y = analyse(board, look.padded, look.halo_px, look.satellite)
            with watch.span("alone", look.satellite):
                views.append(view_of(board, rules.codec, look, y))
        return views

    return see


def windowed(scene: SceneKnobs, capturing: CaptureKnobs, seed: int, scaled: Bands | None = None) -> Looker:
    """Patches at random places of a window (`capture.mode=window`). scaled: of the codec."""

    def looks(number: int, satellites: Sequence[int]) -> list[Look]:
        opened = open_scene(scene, seed, number, capturing.window_px, scaled)
        return [look_of(capture(opened, capturing, seed, number, s), opened.name) for s in satellites]

    return looks


def orbital(
    space: SpaceSegment,
    knobs: NetworkScenario,
    seen: tuple[SceneKnobs, CaptureKnobs],
    scaled: Bands | None = None,
) -> Looker:
    """What orbits let satellites see (`capture.mode=orbit`). scaled: of the codec."""
    (scene, capturing), sight = seen, knobs.sight
    targets = targets_of(sight.targets, knobs.region)

    def looks(number: int, satellites: Sequence[int]) -> list[Look]:
        ground = ground_seen(knobs, scene, number, scaled)
        found = []
        for satellite in satellites:
            sighting = space.at(number).sightings.get(satellite)
            if sighting is not None:
                key = knobs.seed, number, satellite
                held = unsteady(held_at(space, sighting, targets, sight, capturing.patch_px), sight, key)
                found.append(look_from_orbit(ground, held, capturing, sight, key))
        return [look for look in found if look is not None]

    return looks


def ground_seen(
    knobs: NetworkScenario, scene: SceneKnobs, number: int, scaled: Bands | None = None
) -> Ground:
    """The ground of round `number`. Raises `UserError`."""
    place = knobs.region.longitude_deg, knobs.region.latitude_deg
    return ground_of(open_scene(scene, knobs.seed, number, 1, scaled), knobs.sight, place, knobs.seed)


def check_targets(knobs: NetworkScenario, scene: SceneKnobs, scaled: Bands | None = None) -> None:
    """Refuse a run that looks where its first scene is not. Raises `UserError`."""
    ground = ground_seen(knobs, scene, 0, scaled)
    targets = targets_of(knobs.sight.targets, knobs.region)
    if not any(ground.holds(one) for one in targets):
        lon, lat = ground.where.middle
        asked = knobs.sight.targets or "region.latitude_deg, region.longitude_deg"
        raise UserError(
            f"{asked}: no target lies in scene {ground.scene.name}, whose middle is {lat:.5f} N {lon:.5f} "
            f"E; look there "
            "with region.latitude_deg= and region.longitude_deg="
        )
