"""The codec of a process: loaded once, shared by the satellites that it flies, or the ground's."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from codec.entropy.coder import EntropyCoder
from codec.models.checkpoint import CheckpointInfo, load_weights
from codec.models.model import LatentModel
from codec.portable.transforms import Transforms
from constellation.common.errors import UserError
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
    return Board(model, checkpoint, device, codec.prediction)
