"""CompressAI's pretrained networks: a file that is not what was published gives one line, runs no code."""

import hashlib
import pickle
from pathlib import Path

import pytest
import torch

from codec.models.checkpoint import load_weights
from codec.models.foreign import zoo
from codec.models.foreign.zoo import from_compressai, zoo_checkpoint
from codec.models.registry import build_model
from constellation.common.errors import UserError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """torch's cache in an empty folder, no network."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def unreachable(*_, **__):
        raise OSError("urlopen error: no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def published(cache, monkeypatch, content):
    """Let CompressAI's bmshj at quality 4 be a file with that content."""
    from compressai.zoo import image

    name = f"bmshj2018-hyperprior-4-{hashlib.sha256(content).hexdigest()[:8]}.pth.tar"
    (cache / name).write_bytes(content)
    monkeypatch.setitem(image.model_urls["bmshj2018-hyperprior"]["mse"], 4, f"https://nowhere/{name}")


def saved(state):
    import io

    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def test_the_zoo_says_what_it_lacks_before_it_asks_the_network(cache):
    with pytest.raises(UserError, match="no pretrained elic, expected one of bmshj, mbt, cheng"):
        zoo_checkpoint("elic", 0.013)
    with pytest.raises(UserError, match=r"the zoo has bmshj at 0.0018"):
        zoo_checkpoint("bmshj", 0.5)


def test_an_unreachable_zoo_is_one_line(cache):
    with pytest.raises(UserError, match="could not be fetched, the zoo needs a network"):
        load_weights("zoo", "bmshj", 0.013)


def test_a_cached_file_with_another_hash_than_its_name_has_is_not_opened(cache, monkeypatch):
    content = saved(build_model("bmshj", 8, 12).net.state_dict())
    published(cache, monkeypatch, content)
    (path,) = cache.iterdir()
    path.write_bytes(content + b" ")
    monkeypatch.setattr(zoo, "read_state", lambda path: pytest.fail("opened"))
    with pytest.raises(UserError, match=r"CompressAI published .*; delete it"):
        zoo_checkpoint("bmshj", 0.013)


class Spell:
    """A pickle that would create a file where it is opened without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("form", [saved, pickle.dumps])
def test_a_pickle_with_code_in_it_runs_none(cache, monkeypatch, tmp_path, form):
    published(cache, monkeypatch, form({"g_a.0.weight": Spell(tmp_path / "evil")}))
    with pytest.raises(UserError, match="not a file of tensors"):
        zoo_checkpoint("bmshj", 0.013)
    assert not (tmp_path / "evil").exists()


def test_the_published_network_is_ready_to_code(cache, monkeypatch):
    state = build_model("bmshj", 8, 12).net.state_dict()
    published(cache, monkeypatch, saved({f"module.{key}": value for key, value in state.items()}))
    model, info = load_weights("zoo", "bmshj", 0.013)
    assert (info.n, info.m, info.model) == (8, 12, "bmshj")
    assert model.bottleneck._quantized_cdf.numel()
    assert torch.equal(model.g_a[0].weight, state["g_a.0.weight"])


def test_another_networks_state_is_one_line():
    with pytest.raises(UserError, match="no state of CompressAI's mbt"):
        from_compressai("mbt", build_model("bmshj", 8, 12).net.state_dict())
