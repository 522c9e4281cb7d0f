"""One job with a tiny budget: it stops by itself, everybody is paid what is owed, the rest goes back, and the line shows nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.stack import line
from tests.stack.small import RATE, RELEASE_MIN, WALLETS, SmallStack, canary

pytestmark = [pytest.mark.stack, pytest.mark.timeout(280)]

VISITS, REST = 26, 123
"""Two rounds of at most twelve, and a rest that cannot pay a minimum cohort; REST is less than one visit."""
BUDGET = VISITS * RATE + REST
LOSES_DATA, FAILS = 0, 1


@dataclass(frozen=True)
class TinyJob:
    """What is known after the job: told once, judged by every test of this file."""

    job: str
    told: dict[str, Any]
    money: dict[str, Any]
    before: int
    visits: dict[int, int]
    paid: dict[int, int]
    failing_proved: list[int]
    """Rounds for which the wallet whose algorithm fails signed a receipt."""


@pytest.fixture(scope="module")
def tiny(small_stack: SmallStack) -> TinyJob:
    visits, paid = small_stack.visits(), small_stack.paid()
    before, proved = int(small_stack.inside.balance()), len(small_stack.proven(FAILS))
    small_stack.fault("lose_data", round=1, wallets=[LOSES_DATA])
    small_stack.fault("fail_algorithm", round=1, wallets=[FAILS])
    job = small_stack.order(budget=BUDGET, max_rounds=50, cohort=WALLETS, bucket_size=WALLETS)
    told = small_stack.until_closed(job)
    return TinyJob(
        job=job,
        told=told,
        money=small_stack.inside.money(job=job),
        before=before,
        visits=_minus(small_stack.visits(), visits),
        paid=_minus(small_stack.paid(), paid),
        failing_proved=small_stack.proven(FAILS)[proved:],
    )


def _minus(after: dict[int, int], before: dict[int, int]) -> dict[int, int]:
    return {number: after[number] - before[number] for number in after}


def test_the_job_stops_by_itself_when_the_rest_cannot_pay_a_minimum_cohort(tiny: TinyJob) -> None:
    assert "budget_exhausted" in tiny.told["transitions"], tiny.told
    left = VISITS - tiny.told["earned"]
    assert 0 <= left < RELEASE_MIN
    assert tiny.told["reserved"] == 0
    spent = 0
    for row in tiny.told["rounds"]:
        assert row["receipts"] <= row["delivered"] <= row["reserved"] <= VISITS - spent, tiny.told["rounds"]
        spent += row["receipts"]
    assert spent == tiny.told["earned"]


def test_the_rest_is_refunded_to_the_last_unit(tiny: TinyJob) -> None:
    spent = tiny.told["earned"] * RATE
    assert tiny.money["budget"] == str(BUDGET)
    assert tiny.money["spent"] == str(spent)
    assert tiny.money["refunded"] == str(BUDGET - spent)
    assert int(tiny.money["balance"]) == tiny.before - spent
    _, _, rate, budget, on_chain, _, closed = tiny.money["on_chain"]
    assert (rate, budget, on_chain, closed) == (str(RATE), str(BUDGET), str(spent), "True")
    assert tiny.money["reconciled"], tiny.money["lines"]


def test_every_wallet_is_paid_for_exactly_the_receipts_in_its_own_journal(tiny: TinyJob) -> None:
    assert sum(tiny.visits.values()) == tiny.told["earned"]
    assert tiny.paid == {number: visits * RATE for number, visits in tiny.visits.items()}


def test_a_wallet_whose_data_is_missing_is_not_paid(small_stack: SmallStack, tiny: TinyJob) -> None:
    hit = next(fault for fault in small_stack.suffered() if fault["kind"] == "lose_data")
    assert hit["suffered"] == [LOSES_DATA]
    assert tiny.visits[LOSES_DATA] == 0
    assert tiny.paid[LOSES_DATA] == 0
    entries = small_stack.hosts.call(LOSES_DATA, "visits")["entries"]
    assert "data_missing" in {entry["code"] for entry in entries}


def test_a_wallet_whose_algorithm_fails_after_the_proof_is_paid(
    small_stack: SmallStack, tiny: TinyJob
) -> None:
    hit = next(fault for fault in small_stack.suffered() if fault["kind"] == "fail_algorithm")
    assert hit["suffered"] == [FAILS]
    assert 1 in tiny.failing_proved
    assert tiny.paid[FAILS] == tiny.visits[FAILS] * RATE >= RATE
    first = tiny.told["rounds"][0]
    assert first["survivors"] < first["receipts"] < first["delivered"]


def test_the_sums_are_the_plain_sums_bit_for_bit(small_stack: SmallStack, tiny: TinyJob) -> None:
    """A spy in the wallets saw every update; each released mean must be exactly theirs."""
    posted = [c for c in tiny.told["checkpoints"] if c["number"] > 0]
    assert posted
    for checkpoint in posted:
        sent = [
            seen
            for seen in _spied(small_stack, tiny.job, checkpoint["number"])
            if "masked_input" in seen["steps"]
        ]
        assert len(sent) == checkpoint["wallets"]
        total = np.sum([_vector(seen) for seen in sent], axis=0)
        mean = total.astype(np.float64) / (float(1 << 16) * len(sent))
        assert hashlib.sha256(mean.astype("<f8").tobytes()).hexdigest() == checkpoint["aggregate_hash"]


def _spied(small_stack: SmallStack, job: str, number: int) -> list[dict[str, Any]]:
    path = small_stack.folder / "spy.json"
    small_stack.hosts.all[0].call("spy", path=str(path))
    entries = json.loads(path.read_text())
    path.unlink()
    of_round = [entry for entry in entries if (entry["job"], entry["round"]) == (job, number)]
    return [seen for entry in of_round for seen in entry["wallets"].values()]


def _vector(seen: dict[str, Any]) -> Any:
    return np.frombuffer(base64.b64decode(seen["vector"]), dtype="<i8")


# --- the line ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def opened(small_stack: SmallStack, tiny: TinyJob) -> line.Opened:
    talks = [*small_stack.aggregator_line.conversations, *small_stack.distributor_line.conversations]
    return line.open_all(talks, line.sealing_key(small_stack.folder))


@pytest.fixture(scope="module")
def readable(small_stack: SmallStack, opened: line.Opened) -> bytes:
    """Everything that somebody between wallets and servers could read, websocket framing removed."""
    talks = [*small_stack.aggregator_line.conversations, *small_stack.distributor_line.conversations]
    # The collective's own calls pass here too and carry the sums that it may read; they are not a wallet's line.
    return b"\n".join(talk.readable() for talk in talks if not talk.path.startswith("/internal/"))


def test_the_whole_round_passed_over_the_recorded_line(tiny: TinyJob, opened: line.Opened) -> None:
    """What follows would hold for an empty recording too."""
    survivors = sum(row["survivors"] for row in tiny.told["rounds"])
    assert len(opened.inputs) >= survivors > 0
    assert len(opened.reveals) >= survivors
    assert sum(len(reveal.shares) for reveal in opened.reveals) > survivors


def test_wallets_send_the_aggregator_nothing_unsealed(small_stack: SmallStack, tiny: TinyJob) -> None:
    sockets = list(line.frames_of_rounds(small_stack.aggregator_line.conversations))
    assert {frame["t"] for frames in sockets for frame in frames} == {"sealed", "next"}
    for frame in (frame for frames in sockets for frame in frames):
        assert frame.keys() == {"t", "b"}


def test_no_sealed_body_stands_on_the_line_in_clear(opened: line.Opened, readable: bytes) -> None:
    for plain in opened.plain:
        assert plain not in readable
    for masked in opened.inputs:
        assert not any(masked.y[at : at + 16] in readable for at in range(0, len(masked.y) - 15, 16))
    for reveal in opened.reveals:
        assert not any(share.share in readable for share in reveal.shares)


def test_no_update_stands_on_the_line(small_stack: SmallStack, tiny: TinyJob, readable: bytes) -> None:
    seen = [s for row in tiny.told["rounds"] for s in _spied(small_stack, tiny.job, row["number"])]
    assert seen
    for update in map(_vector, seen):
        for form in ("<i4", "<i8"):
            raw = update.astype(form).tobytes()
            assert not any(
                raw[at : at + 16] in readable
                for at in range(0, len(raw) - 15, 16)
                if len(set(raw[at : at + 16])) > 4
            )


def test_no_record_and_no_permit_stands_on_the_line(small_stack: SmallStack, readable: bytes) -> None:
    for number in range(WALLETS):
        assert canary(number).encode() not in readable
        permit = small_stack.link(number)["permit_signature"]
        assert len(permit) == 128
        assert permit.encode() not in readable
        assert bytes.fromhex(permit) not in readable
    for name in (b"private_note", b"ivo-"):
        assert name not in readable
