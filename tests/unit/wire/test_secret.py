"""A secret tells nobody."""

from __future__ import annotations

import copy
import pickle

import pytest

from aggregation.wire.secret import Secret


def test_repr_and_str_show_only_the_length() -> None:
    secret = Secret(b"canary-canary")
    for text in (repr(secret), str(secret), f"{secret}", f"{[secret]}"):
        assert "canary" not in text
        assert "13" in text


def test_it_is_neither_pickled_nor_copied_nor_hashed() -> None:
    secret = Secret(b"x")
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy, hash, bytes):
        with pytest.raises(TypeError):
            attempt(secret)


def test_equality_is_by_content_and_type() -> None:
    assert Secret(b"a") == Secret(b"a")
    assert Secret(b"a") != Secret(b"b")
    assert Secret(b"a") != b"a"


def test_an_erased_secret_reveals_nothing() -> None:
    secret = Secret(b"abc")
    assert len(secret) == 3
    assert not secret.erased
    secret.erase()
    assert secret.erased
    assert len(secret) == 0
    with pytest.raises(ValueError, match="erased"):
        secret.reveal()


def test_erasing_writes_over_the_bytes_where_they_are() -> None:
    secret = Secret(b"abc")
    memory = memoryview(secret._data)
    secret.erase()
    assert memory.tobytes() == bytes(3)
