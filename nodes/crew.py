"""Who flies a round, by which rules, and the values that a round on board is made of.

    Look -> View -> Observation -> (Accord, Known) -> Task -> Product -> Flown

A crew is the satellites, one or many, that one process flies. All values are frozen; H x W latent positions,
M channels, P patch px, h halo px, B bands.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from codec.entropy.encoder import EncodedLatents
from codec.maps.assignment import AssignmentMap
from codec.models import registry
from codec.models.model import LatentModel, Pass
from codec.settings import StreamSettings
from constellation.clock import NO_WORK, Work
from constellation.common.frozen import value
from constellation.network import SpaceSegment, Sync
from constellation.priority import check_rule
from constellation.scenario.coding import CodecKnobs, DlrcKnobs
from constellation.scenario.imaging import CaptureKnobs
from constellation.scenario.operation import PriorityKnobs
from constellation.scenario.scenario import Scenario
from constellation.sight.geometry import Geometry
from nodes.lists.entries import Entries, Recalled
from nodes.messages import HEADER_WORDS, ORDER_BYTES, PLACE_WORDS, Header, Note, SignatureList
from nodes.process.board import Board
from nodes.recognizer import HashFamily, hash_family
from nodes.selector import Selection
from nodes.streams.offer import Offer
from nodes.timeline import Watch

if TYPE_CHECKING:
    from codec.prediction.values import Guide
    from nodes.memory import Memory


@value
class Rules:
    """What all satellites of a run agree on before it: knobs, the hash family that signatures are made with,
    and the passes of the codec, from which the order of coding follows. scene: a word for what is on the
    ground. scope, capture: who gathers with whom, by where each is to look."""

    seed: int
    codec: CodecKnobs
    dlrc: DlrcKnobs
    priority: PriorityKnobs
    hashes: HashFamily
    passes: tuple[Pass, ...]
    scene: str = ""
    scope: str = "all"
    capture: CaptureKnobs = CaptureKnobs()
    decoder: str = ""
    """the family that decodes, where it is another than `codec.model`"""

    @classmethod
    def of(cls, scenario: Scenario, model: LatentModel) -> Rules:
        """The rules of a scenario for its codec. Raises `UserError` where they do
        not go together."""
        check_rule(scenario.priority.rule, registry.sequential(scenario.codec.model, scenario.codec.context))
        dlrc = scenario.dlrc
        hashes = hash_family(scenario.seed, model.m, dlrc.k, dlrc.rotation, dlrc.magnitude)
        return cls(
            scenario.seed,
            scenario.codec,
            dlrc,
            scenario.priority,
            hashes,
            model.passes,
            Path(scenario.scene.path).name,
            scenario.sync.scope,
            scenario.capture,
            model.ground.name,
        )

    @property
    def exact_context(self) -> bool:
        """Whether a remote copy can be known to equal the owner's vector, and then be context. Not with the
        centred grid, where the coded vector depends on its context; nor by footprint, where no contents are
        exchanged."""
        return (
            self.codec.context != "independent"
            and self.codec.grid == "fixed"
            and self.dlrc.dedup == "signature"
        )

    @property
    def with_contents(self) -> bool:
        """Whether lists carry content hashes beside the signatures."""
        return self.dlrc.signature == "lsh" and self.dlrc.dedup == "signature"

    @property
    def own_order(self) -> bool:
        """Whether the order is made by a function of the user's, which may differ between satellites."""
        return ":" in self.priority.rule

    @property
    def header_bytes(self) -> int:
        """Bytes of a HEADERS message."""
        return 8 * (HEADER_WORDS + (PLACE_WORDS if self.dlrc.streams else 0))

    def list_bytes(self, count: int) -> int:
        """Bytes of an EXCHANGE message that has room for `count` entries, or for a stream of as many
        bytes."""
        if self.dlrc.streams:
            return -(-count // 8) * 8 + (ORDER_BYTES if self.own_order else 0)
        return 8 * count * (2 if self.with_contents else 1) + (ORDER_BYTES if self.own_order else 0)

    def payload_bytes(self, count: int) -> int:
        """Bytes of a satellite's messages on its links: header and `count` entries, or a stream; under
        footprint deduplication four corners instead of signatures."""
        if self.dlrc.streams:
            return self.header_bytes + count + (ORDER_BYTES if self.own_order else 0)
        sent = self.list_bytes(count)
        return 8 * HEADER_WORDS + (sent - 8 * count + 32 if self.dlrc.dedup == "footprint" else sent)

    def settings(self, dlrc: bool, halo: bool) -> StreamSettings:
        """What a stream says about how it was coded."""
        codec, knobs = self.codec, self.dlrc
        return StreamSettings(
            model=self.decoder or codec.model,
            grid=codec.grid,
            context=codec.context,
            signature=knobs.signature,
            representative=knobs.representative,
            map_coding=knobs.map_coding,
            dedup=knobs.dedup,
            dlrc=dlrc,
            halo=halo,
            portable=codec.portable,
            portable_pictures=codec.portable_pictures,
        )

    def identity(self, headers: Mapping[int, Header]) -> int:
        """What streams of a round have in common with no other round's or run's, 32 bits but 0: a checksum of
        the lists that the headers announce, and of seed and scene. A metric is left out, as its last bit
        differs between machines."""
        lists = sorted((h.satellite, h.round, h.count, h.checksum) for h in headers.values())
        return zlib.crc32(repr((self.seed, self.scene, lists)).encode()) or 1


@value
class Look:
    """What one satellite sees in a round.

    image: uint8 or uint16 [P, P, B], the patch. padded: alike [P + 2h, P + 2h, B], with its surroundings.
    footprint: int64 [H, W], ids of the ground cells below. place: (row, col) of the patch in the window and
    of the window in the scene, px, and the scene's name. valid: bool [P, P], where the patch shows the scene;
    None: everywhere.
    """

    satellite: int
    round: int
    image: np.ndarray
    padded: np.ndarray
    footprint: np.ndarray
    place: tuple[float, float, int, int, str]
    valid: np.ndarray | None = None
    geometry: Geometry | None = None

    @property
    def pixels(self) -> int:
        """Those of the patch that show the scene: what rates are per."""
        height, width = self.image.shape[:2]
        return height * width if self.valid is None else int(self.valid.sum())

    @property
    def halo_px(self) -> int:
        return (self.padded.shape[0] - self.image.shape[0]) // 2


@value
class View:
    """A look, its latents y, float32 [M, H, W], and these coded alone. It needs no other satellite and no
    rule of DLRC, so variants of DLRC share it. picture_digest: of the exact picture of round(y), where
    pictures are portable and no halo is in them."""

    look: Look
    y: np.ndarray
    alone: EncodedLatents
    picture_digest: int = 0


@value
class Observation:
    """A view and its clusters, ready to be exchanged. own: the list that the satellite sends. recalled: what
    of it is in lists of earlier rounds, where these are remembered."""

    view: View
    selection: Selection
    own: SignatureList
    recalled: Recalled | None = None

    @property
    def satellite(self) -> int:
        return self.view.look.satellite


@value
class Offering:
    """A view, and what its satellite offers of it, where streams are exchanged."""

    view: View
    own: Offer

    @property
    def satellite(self) -> int:
        return self.own.satellite


@value
class Accord:
    """What follows from the headers of a round, alike on every satellite.

    order: satellites with an accepted header, highest priority first. headers: theirs. hearers: sender ->
    receivers that the links allow. size: bytes of a message of EXCHANGE. sync: what the exchange costs.
    idle: who has no view, as no orbit leads it there; they listen if they are `listening`.
    """

    order: tuple[int, ...]
    headers: Mapping[int, Header]
    hearers: Mapping[int, frozenset[int]]
    size: int
    sync: Sync
    idle: frozenset[int] = frozenset()
    listening: frozenset[int] = frozenset()


@value
class Known:
    """What follows from the lists or the streams of a round, alike on every satellite.

    lists, offers: those that arrived whole and reached somebody, of the kind that is exchanged. by: receiver
    -> satellites of whom it heard, itself included; who is in neither of them heard itself alone. entries: of
    lists, those that later rounds may refer to, where lists are remembered.
    """

    lists: Mapping[int, SignatureList]
    by: Mapping[int, frozenset[int]]
    offers: Mapping[int, Offer] = field(default_factory=dict)
    entries: Mapping[int, Entries] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether everybody who takes part heard everybody."""
        return all(len(self.by[satellite]) == len(self.lists) for satellite in self.lists)

    def closed(self, heard: frozenset[int]) -> bool:
        """Whether these heard each other and nobody else."""
        return all(self.by.get(satellite) == heard for satellite in heard)


@value
class Task:
    """What one satellite has to code. participants: ids whose lists its map may refer to, sorted, itself
    among them. accord: `Rules.identity` of the round."""

    observation: Observation
    assignment: AssignmentMap
    participants: tuple[int, ...]
    accord: int


@value
class Product:
    """One satellite's bytes of a round, kept until the round is closed. alone: its independent stream, which
    needs nobody. estimate_bits: open-loop estimate of y for the kept vectors, NaN unless asked for. guide,
    work: where streams are exchanged, what it is predicted from, and what others' streams took, for the
    clock."""

    stream: bytes
    alone: bytes
    assignment: AssignmentMap
    estimate_bits: float
    guide: Guide | None = None
    work: Work = NO_WORK


See = Callable[[int, Sequence[int]], "list[View]"]  # round, satellites -> their views


@value
class Crew:
    """The satellites that one process flies, `numbers`, and what they fly with. memory: of earlier rounds."""

    numbers: tuple[int, ...]
    board: Board
    rules: Rules
    network: SpaceSegment
    watch: Watch
    see: See
    memory: Memory | None = None


@value
class Flown:
    """What a crew has after a round, by satellite. tasks: of those that took part in an exchange of
    signatures. notes: telemetry. accepted: whose streams the ground kept."""

    accord: Accord
    tasks: Mapping[int, Task]
    products: Mapping[int, Product]
    notes: Mapping[int, Note]
    accepted: frozenset[int]
