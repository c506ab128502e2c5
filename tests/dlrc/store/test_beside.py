"""What is noted beside a round: classical codecs on the same patches, at rates that rise with quality."""

import numpy as np

from dlrc.store.beside import classical_points


def test_classical_codecs_spend_more_bits_for_more_quality():
    rows, columns = np.mgrid[:128, :128]
    tone = (
        128 + 60 * np.sin(rows / 7) * np.cos(columns / 11) + np.random.default_rng(0).normal(0, 6, (128, 128))
    )
    image = np.repeat(np.clip(tone, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    points = classical_points([(image, None)] * 2, 34.0)
    for codec in ("jpeg2000", "webp"):
        mine = [point for point in points if point.codec == codec]
        assert len(mine) == 3 and all(point.patches == 2 for point in mine)
        assert [p.bpp for p in mine] == sorted(p.bpp for p in mine)
        assert [p.psnr_db for p in mine] == sorted(p.psnr_db for p in mine)


def test_pictures_of_other_than_three_bands_have_no_classical_points():
    assert classical_points([(np.zeros((64, 64, 4), np.uint8), None)], 34.0) == ()
    assert classical_points([], 34.0) == ()
