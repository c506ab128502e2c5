"""The pictures of a training run: 8-bit RGB, or bands of samples by the scale of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codec.imagery.pictures import Picture
from codec.imagery.scaling import Bands
from codec.training.data import open_data, scales_of, split_pictures
from codec.training.warmstart import checkpoint_of

if TYPE_CHECKING:
    from codec.training.knobs import TrainKnobs


def pictures_of(knobs: TrainKnobs) -> tuple[list[Picture], list[Picture], Bands | None]:
    """(for training, for validation, scales of their bands). The scales are those of a checkpoint of bands
    that training begins from, else fixed from the pictures; None: 8-bit RGB. Raises `UserError`."""
    begun = knobs.bands and knobs.init not in ("", "klt")
    given = checkpoint_of("init", knobs.init)[1].bands if begun else None
    pictures = open_data(knobs.data, "data", knobs.bands, given)
    scaled = scales_of(pictures)
    training, held_out = split_pictures(pictures, knobs.val_share)
    held_out = open_data(knobs.val, "val", knobs.bands, scaled) if knobs.val else held_out
    return training, held_out, scaled
