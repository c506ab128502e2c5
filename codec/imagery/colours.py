"""False colour: pictures of any bands as 8-bit RGB, for the eye alone."""

from __future__ import annotations

import numpy as np

BLUE_FIRST = (3, 2, 1)  # sensors number their bands by wavelength


def false_colour(
    picture: np.ndarray, choice: str = "", range_: tuple[float, float] | None = None
) -> np.ndarray:
    """np.uint8 [H, W, 3] of a picture np.uint8 or np.uint16 [H, W, bands]; 8-bit RGB stays as it is.

    choice: one or three 1-based bands, by commas; none: 3,2,1, or the first band in grey where there are
    fewer. range_: counts that become black and white; none: the whole range of the type. Raises `ValueError`
    for a band that there is not."""
    bands = picture.shape[2]
    if picture.dtype == np.uint8 and bands == 3 and not choice:
        return picture
    chosen = tuple(int(number) for number in choice.split(",")) if choice else BLUE_FIRST
    if not choice and bands < 3:
        chosen = (1,)
    if not all(1 <= band <= bands for band in chosen):
        raise ValueError(f"colours {','.join(map(str, chosen))}: there are bands 1 to {bands}")
    low, high = range_ or (0.0, float(np.iinfo(picture.dtype).max))
    shown = picture[:, :, [band - 1 for band in (chosen if len(chosen) == 3 else chosen * 3)]]
    counts = (shown.astype(np.float64) - low) * (255.0 / (high - low))
    return np.clip(np.rint(counts), 0, 255).astype(np.uint8)


def range_of(picture: np.ndarray) -> tuple[float, float]:
    """The counts between which a picture, or many together, can be told apart by eye: its 1st and 99th
    percentile."""
    low, high = (float(value) for value in np.percentile(picture, (1, 99)))
    return low, max(high, low + 1)
