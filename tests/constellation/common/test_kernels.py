"""Where compiled kernels are kept."""

import importlib.util
import os
import stat
import sys

import pytest

from constellation.common import kernels
from nodes.process import warm_up


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An environment and a temporary folder of one's own; the environment is not there yet."""
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    monkeypatch.setattr(kernels.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "numba")
    return tmp_path


def test_kernels_are_kept_in_the_environment(here):
    kernels.place()
    assert os.environ["NUMBA_CACHE_DIR"].startswith(str(here / "environment"))


def test_where_the_environment_is_read_only_kernels_are_kept_where_only_their_user_writes(here):
    (here / "environment").write_text("no folder can be made in a file")
    kernels.place()
    home = here / "tmp" / f"dlrc-kernels-{os.geteuid()}"
    assert os.environ["NUMBA_CACHE_DIR"].startswith(str(home))
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_folder_that_others_may_write_is_not_trusted(here, monkeypatch):
    (here / "environment").write_text("no folder can be made in a file")
    home = here / "tmp" / f"dlrc-kernels-{os.geteuid()}"
    home.mkdir()
    home.chmod(0o777)
    monkeypatch.setattr(kernels.tempfile, "mkdtemp", lambda prefix: str(here / "private"))
    kernels.place()
    assert os.environ["NUMBA_CACHE_DIR"] == str(here / "private")


def test_a_users_own_folder_stands(here, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/mine")
    kernels.place()
    assert os.environ["NUMBA_CACHE_DIR"] == "/mine"


def test_changed_sources_find_an_empty_cache_and_equal_ones_a_full_one(here, monkeypatch):
    kernels.place()
    folder = here / "environment" / "share" / "dlrc" / "kernels"
    with kernels.compiling() as missing:
        assert missing
        (next(folder.iterdir()) / "a.nbi").touch()
    assert kernels.ready() and list(folder.rglob("*.nbi"))
    with kernels.compiling() as missing:
        assert not missing
    monkeypatch.setattr(kernels, "_digest", lambda: "of other sources")
    assert not kernels.ready()
    with kernels.compiling() as missing:
        assert missing and not list(folder.rglob("*.nbi"))


def test_two_checkouts_share_an_environment_without_sharing_kernels(here, monkeypatch):
    kernels.place()
    first = os.environ.pop("NUMBA_CACHE_DIR")
    monkeypatch.setattr(kernels, "_ROOT", here / "another checkout")
    kernels.place()
    assert os.environ["NUMBA_CACHE_DIR"] != first


def test_every_source_with_kernels_is_a_module_that_the_launcher_compiles():
    found = kernels.modules()
    assert {"codec.entropy.rans", "nodes.recognizer"} <= set(found)
    assert all(importlib.util.find_spec(name) for name in (*found, *warm_up.COMPILED_ON_USE))
