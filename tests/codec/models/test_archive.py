"""CompressAI's own files as `codec.weights`: what training writes there flies here, and nothing else does."""

import pickle

import pytest
import torch

from codec.models import registry
from codec.models.checkpoint import load_weights, weights_sha256
from codec.models.model import Widths
from constellation.common.errors import UserError

X = torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)


def network(name):
    torch.manual_seed(3)
    return registry.build(name, Widths(8, 8 if name == "cheng" else 24))


@pytest.mark.parametrize("name", ["bmshj", "mbt", "cheng", "elic"])
def test_what_compressai_saves_flies_here_in_any_of_its_wrappings(name, tmp_path):
    theirs = network(name)
    state = theirs.net.state_dict()
    wrapped = {
        "epoch": 3,
        "loss": 1.5,
        "state_dict": {f"module.{key}": value for key, value in state.items()},
    }
    found = []
    for label, content in (("plain", state), ("trained", wrapped)):
        folder = tmp_path / label
        folder.mkdir()
        path = folder / "net.pth.tar"
        torch.save(content, path)
        model, info = load_weights(str(path), name, 0.025)
        assert (info.model, info.lambda_, info.widths) == (name, 0.025, theirs.widths)
        with torch.no_grad():
            assert torch.allclose(model.analysis(X), theirs.analysis(X), rtol=0.02, atol=0.02)
        assert info.sha256 == weights_sha256(str(path), name, 0.025)
        found.append(model.net.state_dict())
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_a_file_is_taken_in_once(tmp_path, monkeypatch):
    path = tmp_path / "net.pth.tar"
    torch.save(network("bmshj").net.state_dict(), path)
    load_weights(str(path), "bmshj", 0.013)
    (made,) = tmp_path.glob("*.safetensors")
    stamp = made.stat().st_mtime_ns
    load_weights(str(path), "bmshj", 0.013)
    assert made.stat().st_mtime_ns == stamp


class Harm:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return (open, ("/tmp/harm", "w"))


def test_foreign_and_harmful_files_are_one_line_and_leave_nothing_behind(tmp_path):
    path = tmp_path / "net.pth.tar"
    state = network("bmshj").net.state_dict()
    for content, said in (
        (pickle.dumps({"state_dict": Harm()}), "not a file of tensors"),
        (b"\x00" * 99, "not a file of tensors"),
        ({"state_dict": {}}, "no state dict"),
        ({"state_dict": {"g_a.0.weight": "x"}}, "is no tensor"),
        ({key: value for key, value in state.items() if not key.startswith("g_s")}, "no state of"),
    ):
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with pytest.raises(UserError, match=said):
            load_weights(str(path), "bmshj", 0.013)
    with pytest.raises(UserError, match="no state of"):
        torch.save(state, path)
        load_weights(str(path), "elic", 0.013)
    with pytest.raises(UserError, match="no such file"):
        load_weights(str(tmp_path / "none.pth.tar"), "bmshj", 0.013)
    assert not list(tmp_path.glob("*.safetensors"))
