"""Golden digests of rounds in which satellites exchange their streams: what goes down, byte for byte,
predicted and copied by a plan that is made up (tests/nodes/streams/stream_cases.py).

    python -m tests.golden.test_streams        # freeze today's behaviour"""

import hashlib
import json
from pathlib import Path

import pytest

from tests.nodes.streams.stream_cases import FAMILIES, forced
from tests.nodes.streams.test_stream_rounds import HEARING, flown

DIGESTS = Path(__file__).parent / "streams.json"


def digests(model: str, hearing=None) -> dict[str, str]:
    """SHA-256 of every satellite's stream, and of what the ground made of it."""
    with forced():
        products, landed = flown(model, hearing=hearing)
    sent = {f"stream {s}": product.stream for s, product in products.items()}
    made = {f"latents {s}": y.astype("<i4").tobytes() for (s, _), y in landed.decoded.latents.items()}
    return {name: hashlib.sha256(data).hexdigest() for name, data in {**sent, **made}.items()}


CASES = {**{model: (model, None) for model in FAMILIES}, "bmshj partial": ("bmshj", HEARING)}


@pytest.mark.parametrize("case", CASES)
def test_streams_that_predict_are_as_frozen(case):
    frozen = json.loads(DIGESTS.read_text(encoding="utf-8"))[case]
    assert digests(*CASES[case]) == frozen, "other bytes are another bitstream: a new version"


if __name__ == "__main__":
    DIGESTS.write_text(json.dumps({case: digests(*CASES[case]) for case in CASES}, indent=1) + "\n")
