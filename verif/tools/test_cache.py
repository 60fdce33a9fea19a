# SPDX-License-Identifier: Apache-2.0
"""The content cache: damage is detected, interruption leaves nothing, two processes agree."""

import multiprocessing

import pytest

from tools import cache
from tools.cache import SEAL, cached, digest


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "CACHE", tmp_path / "cache")


def counting(calls, text="made"):
    def make(folder):
        calls.append(folder)
        (folder / "product").write_text(text)

    return make


def test_made_once():
    calls = []
    first = cached("thing", "key", ["product"], counting(calls))
    assert first == cached("thing", "key", ["product"], counting(calls)) and len(calls) == 1
    assert cached("thing", "other", ["product"], counting(calls)) != first and len(calls) == 2


@pytest.mark.parametrize("damage", [
    lambda f: (f / "product").write_text("poisoned"),
    lambda f: (f / "product").write_text(""),
    lambda f: (f / "product").unlink(),
    lambda f: (f / SEAL).unlink(),
    lambda f: (f / SEAL).write_text('{"product": 1'),
    lambda f: (f / SEAL).write_text("[]"),
], ids=["poisoned", "truncated", "gone", "unsealed", "half a seal", "wrong seal"])
def test_damage_is_mended(damage):
    calls = []
    folder = cached("thing", "key", ["product"], counting(calls))
    damage(folder)
    assert (cached("thing", "key", ["product"], counting(calls)) / "product").read_text() == "made"
    assert len(calls) == 2


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_interruption_leaves_nothing(error):
    def fail(folder):
        (folder / "product").write_text("half")
        raise error

    with pytest.raises(error):
        cached("thing", "key", ["product"], fail)
    assert [p.name for p in cache.CACHE.iterdir() if p.is_dir()] == []
    calls = []
    cached("thing", "key", ["product"], counting(calls))
    assert len(calls) == 1


def test_a_killed_build_is_made_anew():
    partial = cache.CACHE / "thing-key.partial"
    partial.mkdir(parents=True)
    (partial / "product").write_text("half")
    calls = []
    assert (cached("thing", "key", ["product"], counting(calls)) / "product").read_text() == "made"
    assert len(calls) == 1 and not partial.exists()


def _slow(folder):
    (folder / "product").write_text("x")
    with open(cache.CACHE / "log", "a") as log:
        log.write("made\n")


def _worker(path):
    cache.CACHE = path
    assert (cached("thing", "key", ["product"], _slow) / "product").read_text() == "x"


def test_processes_at_once():
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_worker, args=(cache.CACHE,)) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert (cache.CACHE / "log").read_text() == "made\n"


def test_digest_knows_where_parts_end():
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("a") == digest(b"a")
