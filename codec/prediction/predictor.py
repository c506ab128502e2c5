"""What both ends hold to predict the streams of one codec: its transforms and its fusion, exact."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from codec.models.checkpoint import CheckpointInfo
from codec.models.model import LatentModel
from codec.portable.transforms import Transforms
from codec.prediction.checkpoint import load_fusion, shipped_fusion
from codec.prediction.exact import ExactFusion
from codec.prediction.fusion import Fusion
from codec.prediction.values import Guide, Prediction
from codec.prediction.warp import compose
from constellation.common.errors import UserError


class Predictor:
    """digest: the first bytes of the fusion file's SHA-256, which streams carry. backend: auto, int8 or
    float64, with equal results."""

    def __init__(
        self, model: LatentModel, fusion: Fusion, digest: bytes = b"", backend: str = "auto"
    ) -> None:
        self.transforms = Transforms(model, backend)
        self.fusion = ExactFusion(fusion, backend)
        self.digest = digest

    def prediction(self, guide: Guide, pictures: Mapping[int, np.ndarray]) -> Prediction:
        """What `guide` makes of the decoded pictures uint8 [P', P', 3] of the satellites that it names."""
        picture, planes = compose(guide, pictures)
        return self.of_picture(picture, planes, guide)

    def of_picture(self, picture: np.ndarray, planes: np.ndarray, guide: Guide) -> Prediction:
        """Of a composed picture int16 [P, P, 3] in 1/64 counts, its planes float64 [H * W, 3], and the levels
        and hyper-latents of its guide."""
        y, levels = self.transforms.latents(picture), guide.levels.reshape(-1)
        return Prediction(y, planes, levels, guide.hyper.reshape(-1), self.fusion)


def load_predictor(model: LatentModel, info: CheckpointInfo, path: str = "") -> Predictor:
    """The predictor of a codec: of the fusion file at `path`, or of the one that ships. Raises `UserError`
    where there is none, or where it was trained for another codec."""
    file = path or shipped_fusion(info)
    if not file:
        raise UserError(
            f"no fusion ships for {info.model} at lambda {info.lambda_:g}: train one with "
            "`dlrc train-prediction`, and name its file in codec.prediction"
        )
    fusion, digest = load_fusion(file, model, info.sha256)
    predictor = Predictor(model, fusion, digest)
    if not predictor.transforms.exact_analysis:
        raise UserError(
            f"dlrc.exchange=streams: exact arithmetic knows not all layers of {info.model}'s encoder, and "
            "the ground must predict as the board does; an encoder file has its decoder's for that"
        )
    return predictor
