"""Pictures that all tests of training share."""

import pytest
from PIL import Image

from tests.codec.training.training_cases import waves


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for k in range(2):
        Image.fromarray(waves(period=9 + k)).save(root / f"{k}.png")
    return root
