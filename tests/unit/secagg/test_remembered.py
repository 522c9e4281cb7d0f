"""Wallets of one process remember what equal bytes said: nothing else comes of the round, and nothing else is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from aggregation.secagg.errors import Fault
from aggregation.wire import signing
from aggregation.wire.once import Remembered
from tests.unit.secagg.malicious import refused
from tests.unit.secagg.pair import NOW, Wire, header
from tests.unit.secagg.tamper import changed, flipped
from tests.unit.secagg.test_wallet_defends_itself import LISTS, SURVIVORS, N


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """The signatures that are checked meanwhile."""
    seen: list[bytes] = []
    verify = signing.verify_encoded

    def counting(public: bytes, label: bytes, encoded: bytes, signature: bytes) -> None:
        seen.append(signature)
        verify(public, label, encoded, signature)

    with monkeypatch.context() as patch:
        patch.setattr(signing, "verify_encoded", counting)
        yield seen


def wire(until: str, memory: Remembered) -> Wire:
    head = header(bucket_size=N, bucket_min=4, release_min=4)
    return Wire(head, N, verify_sample=None, remembered=memory).until(until)


def test_the_sum_is_the_same_and_each_signature_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    w = wire("sign_lists", Remembered(1000))
    with counted(monkeypatch) as seen:
        lists = {key: w.lists[key] for key in w.keys}
        for i, key in enumerate(w.keys):
            w.clients[i].receive_list(lists[key], now=NOW)
    assert len(seen) == len(set(seen)) == 1 + N  # the distributor's, and each wallet's on its key
    w = Wire(header(bucket_size=N, bucket_min=4, release_min=4), N, remembered=Remembered(1000))
    result = w.run()
    (bucket,) = w.round.buckets
    assert np.array_equal(result.sums[bucket.bucket.index].sum, w.plain_sum(bucket))


def test_what_is_forgotten_is_looked_at_again() -> None:
    memory = Remembered(1)
    w = Wire(header(bucket_size=N, bucket_min=4, release_min=4), N, remembered=memory)
    assert w.run().count == N
    assert len(memory) == 1


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_is_refused_is_refused_after_others_took_the_right_one(name: str) -> None:
    make, fault = LISTS[name]
    w = wire("sign_lists", Remembered(1000))
    for i in range(1, N):
        w.clients[i].receive_list(w.lists[w.keys[i]], now=NOW)
    refused(lambda: w.clients[0].receive_list(make(w), now=NOW), fault, w.clients[0])


@pytest.mark.parametrize("name", [name for name in SURVIVORS if name != "below release_min"])
def test_survivors_that_are_refused_are_refused_after_others_took_the_right_ones(name: str) -> None:
    make, fault = SURVIVORS[name]
    w = wire("sign_survivors", Remembered(1000))
    for i in range(1, N):
        w.clients[i].receive_survivors(w.survivors[0])
    refused(lambda: w.clients[0].receive_survivors(make(w)), fault, w.clients[0])


def test_agreements_that_do_not_fit_are_refused_after_others_took_the_right_ones() -> None:
    w = wire("close_consistency", Remembered(1000))
    for i in range(1, N):
        w.clients[i].receive_consistency(w.agreements[w.keys[i]])
    data = changed(
        w.agreements[w.keys[0]], agreements=lambda old: [[at, flipped(signature)] for at, signature in old]
    )
    refused(lambda: w.clients[0].receive_consistency(data), Fault.BAD_SIGNATURE, w.clients[0])


def test_a_refusal_is_not_remembered_as_an_answer() -> None:
    """The second wallet that is sent the same bad list refuses it too."""
    make, fault = LISTS["unsigned change"]
    w = wire("sign_lists", Remembered(1000))
    bad = make(w)
    for i in range(2):
        refused(lambda: w.clients[i].receive_list(bad, now=NOW), fault, w.clients[i])  # noqa: B023


def test_another_distributors_key_is_another_question() -> None:
    memory = Remembered(1000)
    w = wire("sign_lists", memory)
    w.clients[0].receive_list(w.lists[w.keys[0]], now=NOW)
    object.__setattr__(w.clients[1].header, "distributor_key", signing.public_key(signing.generate(bytes)))
    refused(lambda: w.clients[1].receive_list(w.lists[w.keys[1]], now=NOW), Fault.BAD_SIGNATURE, w.clients[1])
