"""Pictures that all tests of training share."""

import pytest
from PIL import Image

from tests.codec.training.training_cases import waves


@pytest.fixture
def drawn_curves():
    """For a test that looks at the picture of a run's curve."""


@pytest.fixture(autouse=True)
def no_picture_of_a_curve(request, monkeypatch):
    """Each takes half a second, and is drawn anew with every validation."""
    if "drawn_curves" not in request.fixturenames:
        monkeypatch.setattr("codec.training.curves.picture", lambda *_: b"")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for k in range(2):
        Image.fromarray(waves(period=9 + k)).save(root / f"{k}.png")
    return root
