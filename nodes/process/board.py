"""The codec of a process: loaded once, shared by the satellites that it flies, or the ground's."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from codec.entropy.coder import EntropyCoder
from codec.models.checkpoint import CheckpointInfo, load_weights, weights_sha256
from codec.models.model import LatentModel
from codec.portable.transforms import Transforms
from constellation.common.errors import UserError, naming
from constellation.common.frozen import value
from constellation.scenario.coding import CodecKnobs
from nodes.process.device import device_of, one_thread

if TYPE_CHECKING:
    from codec.prediction.predictor import Predictor


@value
class Board:
    """A loaded codec, one a process, shared by its satellites, or the ground's. device: of its networks.
    prediction: a file of weights that predict from other views; none: the shipped ones."""

    model: LatentModel
    checkpoint: CheckpointInfo
    device: str
    prediction: str = ""
    fleet: tuple[LatentModel, ...] = ()
    """encoders of a mixed fleet: satellite s flies number s, and so on in turn"""
    sha256: str = ""
    """of all files, where there are several encoders"""

    def of(self, satellite: int) -> LatentModel:
        """The codec whose encoder a satellite flies."""
        return self.fleet[satellite % len(self.fleet)] if self.fleet else self.model

    @property
    def weights_sha256(self) -> str:
        """What identifies the weights of a run."""
        return self.sha256 or self.checkpoint.sha256

    def entropy(self, codec: CodecKnobs) -> EntropyCoder:
        """The entropy coder of this model on a grid; made once."""
        key = codec.grid, codec.portable
        if key not in self._coders:
            self._coders[key] = EntropyCoder(self.model.ground, grid=codec.grid, portable=codec.portable)
        return self._coders[key]

    @cached_property
    def transforms(self) -> Transforms:
        """g_a and g_s of the codec that decodes in exact arithmetic."""
        return Transforms(self.model.ground)

    @cached_property
    def predictor(self) -> Predictor:
        """What predicts from other views, with the g_a that the ground has too; made at first use. Raises
        `UserError` where there are no weights for it."""
        from codec.prediction.predictor import load_predictor

        with naming("codec.prediction"):
            return load_predictor(self.model.ground, self.checkpoint.ground, self.prediction)

    @cached_property
    def _coders(self) -> dict[tuple[str, bool], EntropyCoder]:
        return {}


def check_norm(codec: CodecKnobs, found: str) -> None:
    """Refuse a checkpoint of another norm than the knobs ask for. found: its own, "" for none to choose."""
    if codec.norm and codec.norm != found:
        raise UserError(
            f"codec.norm={codec.norm}: the weights of {codec.model} have "
            f"{f'norm={found}' if found else 'no norm to choose'}"
        )


def load_board(codec: CodecKnobs) -> Board:
    """Load the checkpoint that the knobs name onto this process's device, one thread. Raises `UserError`."""
    one_thread()
    model, checkpoint = load_weights(codec.weights, codec.model, codec.lambda_)
    check_norm(codec, model.widths.norm)
    device = device_of(codec.device)
    model.net.to(device)
    model.ground.net.to(device)
    fleet, sha256 = {}, ""
    for name in dict.fromkeys(codec.models or ()):
        one, info = (model, checkpoint) if name == codec.model else load_weights("", name, codec.lambda_)
        check_decoder(name, (codec.model, codec.weights), (info.ground.sha256, checkpoint.ground.sha256))
        one.net.to(device)
        fleet[name] = one
    if fleet:
        sha256 = weights_sha256(codec.weights, codec.model, codec.lambda_, codec.flown)
    flown = tuple(fleet[name] for name in codec.models or ())
    return Board(model, checkpoint, device, codec.prediction, flown, sha256)


def check_decoder(name: str, ground: tuple[str, str], digests: tuple[str, str]) -> None:
    """Refuse an encoder of a mixed fleet whose streams the ground could not decode. ground: its model and
    weights; digests: of the encoder's decoder and of the ground's."""
    if digests[0] != digests[1]:
        model, weights = ground
        raise UserError(
            f"codec.models: {name} has another decoder ({digests[0][:12]}) than codec.model={model}"
            f"{f' codec.weights={weights}' if weights else ''} ({digests[1][:12]}); one run has one decoder "
            "on the ground"
        )
