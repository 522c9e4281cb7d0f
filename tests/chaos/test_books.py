"""The suite's own judgement: right books pass, and every kind of wrong is seen and counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from aggregation.secagg.messages.phases import EscrowShare, RevealedShare, SelfShare
from tests.chaos.books import (
    Epoch,
    Verdict,
    Wallet,
    judge_life,
    judge_money,
    judge_reveals,
    judge_shown,
    judge_sums,
)
from tests.chaos.outcome import Fault, Outcome
from tests.chaos.report import line_of, load, save, write
from tests.chaos.tampering import frame_size

RATE = 5
WALLETS = {
    0: Wallet(visits=2, accepted=2, paid=10),
    1: Wallet(visits=1, accepted=2, paid=10),  # cut while its proof was on the way
    2: Wallet(visits=0, accepted=1, paid=0),
}
ROUND = {"number": 1, "status": "posted", "reason": "", "receipts": 4, "survivors": 6}
TOLD = {"earned": 4, "reserved": 0, "closed": True, "status": "settled", "reason": "", "rounds": [ROUND]}
MONEY = {"budget": "1000", "spent": "20", "refunded": "980", "reconciled": True, "lines": []}
EPOCHS = (Epoch(number=1, earned=20, paid=20, carried=0, held_over=0),)


def money(**changed: Any) -> Verdict:
    verdict = Verdict()
    given = {"rate": RATE, "wallets": WALLETS, "told": TOLD, "money": MONEY, "epochs": EPOCHS}
    judge_money(verdict, **(given | changed))
    return verdict


def test_right_books_pass() -> None:
    assert money() == Verdict()


def test_a_visit_paid_twice_is_counted() -> None:
    verdict = money(wallets=WALLETS | {0: Wallet(visits=2, accepted=2, paid=15)})
    assert (verdict.double_paid, verdict.lost) == (1, 0)
    assert "wallet 0 was paid 15 for at most 10" in verdict.violations


def test_a_visit_not_paid_is_counted() -> None:
    verdict = money(wallets=WALLETS | {0: Wallet(visits=2, accepted=2, paid=5)})
    assert (verdict.double_paid, verdict.lost) == (0, 1)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"money": MONEY | {"refunded": "979"}}, "reserved 1000, earned 20 and refunded 979"),
        ({"money": MONEY | {"reconciled": False, "lines": [["paid", 1, 2]]}}, "paid: 1 / 2"),
        ({"told": TOLD | {"reserved": 3}}, "3 visits are still reserved"),
        ({"told": TOLD | {"rounds": [ROUND | {"receipts": 3}]}}, "3 receipts in the rounds"),
        ({"epochs": (Epoch(number=1, earned=20, paid=15, carried=0, held_over=0),)}, "epoch 1: earned 20"),
    ],
)
def test_a_unit_that_is_missing_is_said(changed: dict[str, Any], said: str) -> None:
    assert any(said in sentence for sentence in money(**changed).violations), money(**changed)


@pytest.mark.parametrize(
    ("changed", "said", "readable"),
    [
        ({"survivors": 4}, "released the sum of 4", 1),
        ({"status": "aggregating"}, "round 1 still is aggregating", 0),
        ({"status": "abandoned"}, "abandoned without a reason", 0),
        ({"status": "abandoned", "reason": "Too few."}, "no round came into the model", 0),
    ],
)
def test_a_round_that_ended_badly_is_said(changed: dict[str, Any], said: str, readable: int) -> None:
    verdict = Verdict()
    judge_life(verdict, told=TOLD | {"rounds": [ROUND | changed]}, rounds=[], release_min=5)
    assert any(said in sentence for sentence in verdict.violations)
    assert verdict.readable == readable


def test_an_abandoned_round_that_keeps_a_sum_is_said() -> None:
    verdict, row = Verdict(), {"number": 2, "step": "abandoned", "reason": "Too few.", "has_sum": True}
    judge_life(verdict, told=TOLD, rounds=[row], release_min=5)
    assert verdict.violations == ["abandoned round 2 keeps a sum"]


@dataclass
class Reveal:
    header: bytes
    sender: bytes
    shares: tuple[RevealedShare, ...]


def test_both_kinds_of_shares_of_one_wallet_open_its_update() -> None:
    right = [
        Reveal(b"r1", b"a", (SelfShare(1, b""), EscrowShare(2, b""))),
        Reveal(b"r1", b"b", (SelfShare(1, b""),)),
    ]
    verdict = Verdict()
    judge_reveals(verdict, [*right, Reveal(b"r2", b"b", (EscrowShare(1, b""),))])
    assert verdict == Verdict()
    judge_reveals(verdict, [*right, Reveal(b"r1", b"c", (EscrowShare(1, b""),))])
    assert verdict.readable == 1


def test_what_the_admin_does_not_say_is_said() -> None:
    verdict, text = (
        Verdict(),
        "<td>1</td><td>in the model</td><td>2</td><td>abandoned</td><td>Too few wallets.</td>",
    )
    rows = [("1", "in the model", ""), ("2", "abandoned", "Too few wallets.")]
    judge_shown(verdict, "collectives/round", text, rows)
    assert verdict == Verdict()
    judge_shown(verdict, "collectives/round", text, [("2", "collecting", "")])
    judge_shown(verdict, "collectives/round", text, [("2", "abandoned", "The disk is full.")])
    assert verdict.violations == [
        "the admin's page collectives/round does not say of 2: collecting",
        "the admin's page collectives/round does not say of 2: The disk is full.",
    ]


def test_a_sum_of_other_updates_is_said() -> None:
    verdict = Verdict()
    rows = [
        {"number": 1, "wallets": 6, "aggregate_hash": "aa"},
        {"number": 2, "wallets": 6, "aggregate_hash": "bb"},
    ]
    judge_sums(verdict, rows, {1: (6, "aa"), 2: (6, "cc")})
    assert verdict.violations == ["the sum of round 2 is not that of its updates"]


def test_results_are_kept_counted_and_written_down(tmp_path: Any) -> None:
    good = Outcome(
        name="broker", sentence="It forgets.", faults=[Fault(case="broker", name="killed", survived=True)]
    )
    bad = Outcome(
        name="clock", sentence="It jumps.", faults=[Fault(case="clock", name="+1 h", survived=False)]
    )
    bad.verdict = Verdict(violations=["round 1 still is aggregating"], lost=2)
    save([good, bad], tmp_path / "results.json")
    kept = load(tmp_path / "results.json")
    assert kept == [good, bad]
    assert line_of(kept) == {
        "faults_tried": 2,
        "faults_survived": 1,
        "double_paid": 0,
        "lost": 2,
        "readable_updates": 0,
    }
    names = [good.name, bad.name]
    write(kept, names, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "Not whole" not in page
    write(kept, [*names, "third"], tmp_path / "piece.md")
    assert "**Not whole: 2 of 3 cases were run.** Not run: third." in (tmp_path / "piece.md").read_text()
    assert "round 1 still is aggregating" in page
    assert "* +1 h: **not survived**" in page


@pytest.mark.parametrize(
    ("raw", "size"),
    [
        (b"\x82", 0),
        (b"\x82\x05hello", 7),
        (b"\x82\x85mask" + b"x" * 5, 11),
        (b"\x82\x7e\x01\x00", 260),
        (b"\x82\x7f", 0),
        (b"\x82\xff" + (70_000).to_bytes(8, "big"), 70_014),
    ],
)
def test_the_length_of_a_websocket_frame(raw: bytes, size: int) -> None:
    assert frame_size(raw) == size
