"""What a wallet refuses in a round, message by message, with the code it says. Written by `generate`.

One wallet of a round of five with fixed entropy; `right` has what it receives when all is well. Each case replaces the message of one step
by a wrong one, and where a signature of the distributor or of a neighbour would notice first, it is made anew by the true key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from aggregation.secagg.client import SecAggClient
from aggregation.secagg.errors import ProtocolError
from aggregation.secagg.messages import Advertise
from aggregation.secagg.messages.lists import (
    LABEL_LISTS,
    LABEL_SURVIVORS,
    bucket_digest,
    lists_body,
    survivors_body,
    survivors_digest,
)
from aggregation.wire import cbor, merkle, signing
from tests.unit.secagg.pair import EXPIRES, NOW, Entropy, Wire, distributor, header, job_key, member_log
from tests.unit.wire.test_sealing import LOW_ORDER

N, WALLET, SEED = 5, 0, "refusals"
STEPS = ("list", "bundle", "mask", "survivors", "agreements")
ORDERS = (
    ("bundle", "list"),
    ("mask", "bundle"),
    ("survivors", "mask"),
    ("agreements", "survivors"),
    ("list", "bundle"),
    ("mask", "survivors"),
    ("agreements", "end"),
)
"""A step, and the step that is awaited when it comes."""
Fields = dict[str, Any]
Change = Callable[[Fields], Any]


class Round:
    """The undisturbed round, and the messages it gave to the wallet."""

    def __init__(self) -> None:
        self.head = header(log=member_log(N), bucket_size=N, d=3, bucket_min=3, release_min=4)
        self.wire = Wire(self.head, N, seed=SEED, verify_sample=None)
        self.wire.run()
        key = self.wire.keys[WALLET]
        assert self.wire.updates is not None
        self.right: dict[str, Any] = {
            "list": self.wire.lists[key],
            "bundle": self.wire.bundles[key],
            "mask": self.wire.updates[WALLET].tolist(),
            "survivors": self.wire.survivors[0],
            "agreements": self.wire.agreements[key],
        }
        self.position = self.wire.round.locate(key)[1]

    def client(self, *, noted: bool = False) -> SecAggClient:
        return SecAggClient(
            self.head,
            job_key(WALLET),
            rng=Entropy((SEED, "wallet", WALLET)),
            note_revealed=lambda *_: not noted,
            verify_sample=None,
        )

    def entropy(self) -> list[bytes]:
        """The wallet's draws, in order."""
        draws: list[bytes] = []
        source = Entropy((SEED, "wallet", WALLET))

        def rng(length: int) -> bytes:
            draws.append(source(length))
            return draws[-1]

        client = SecAggClient(
            self.head, job_key(WALLET), rng=rng, note_revealed=lambda *_: True, verify_sample=None
        )
        client.advertise()
        client.receive_list(self.right["list"], now=NOW)
        return draws


def refusal_vectors() -> Fields:
    made = Round()
    cases = [*_cases(made)]
    return {
        "header": made.head.to_bytes(),
        "job_key_seed": job_key(WALLET).reveal(),
        "entropy": made.entropy(),
        "now": NOW,
        "steps": STEPS,
        "right": made.right,
        "cases": [case | {"code": _code(made, case)} for case in cases],
    }


def _code(made: Round, case: Fields) -> str:
    client = made.client(noted=case.get("noted", False))
    client.advertise()
    for step in STEPS[: STEPS.index(case["after"])] if case["after"] != "end" else STEPS:
        take(client, step, made.right[step], NOW)
    try:
        take(client, case["step"], case["message"], case.get("now", NOW))
    except ProtocolError as error:
        assert client.closed, case["why"]
        return error.code
    raise AssertionError(f"{case['why']} is accepted")


def take(client: Any, step: str, message: Any, now: int) -> Any:
    """Give a wallet the message of a step."""
    if step == "list":
        return client.receive_list(message, now=now)
    if step == "bundle":
        return client.receive_shares(message)
    if step == "mask":
        return client.mask(message)
    return client.receive_survivors(message) if step == "survivors" else client.receive_consistency(message)


def _cases(made: Round) -> Iterator[Fields]:
    for step, changes in CHANGES(made).items():
        for why, change in changes.items():
            values = cbor.decode(made.right[step])
            message = change(values)
            yield _case(step, why, message if isinstance(message, bytes) else cbor.encode(values))
    yield _case("list", "a key that expires now", made.right["list"]) | {"now": EXPIRES}
    for why, update in {
        "an update that is too short": [0, 0],
        "a value beyond the quantiser": [1 << 15, 0, 0],
        "a value below the quantiser": [0, -(1 << 15) - 1, 0],
    }.items():
        yield _case("mask", why, update)
    yield _case("agreements", "a round noted before", made.right["agreements"]) | {"noted": True}
    for step, after in ORDERS:
        yield _case(step, f"{step} where {after} is awaited", made.right[step]) | {"after": after}


def _case(step: str, why: str, message: Any) -> Fields:
    return {"after": step, "step": step, "why": why, "message": message}


def CHANGES(made: Round) -> dict[str, dict[str, Change]]:
    """Step -> what is done to the fields of its message; a change that returns bytes replaces the message."""
    own = made.position
    other = (own + 1) % N
    return {
        "list": {**_form("advertise-list"), **_of_lists(own, other)},
        "bundle": {**_form("share-bundle"), **_of_bundles(own, other)},
        "survivors": {**_form("survivors"), **_of_survivors(own, other)},
        "agreements": {**_form("consistency-set"), **_of_agreements(other)},
    }


def _form(kind: str) -> dict[str, Change]:
    return {
        "no CBOR": lambda m: b"\xff",
        "no map": lambda m: cbor.encode([kind]),
        "a byte after its end": lambda m: cbor.encode(m) + b"\x00",
        "another kind": lambda m: m.update(t="advertise"),
        "another version": lambda m: m.update(v=2),
        "a field too many": lambda m: m.update(more=1),
        "a field too few": lambda m: m.pop("bucket"),
        "a bucket in words": lambda m: m.update(bucket="0"),
        "another round": lambda m: m.update(header=bytes(32)),
    }


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes((data[-1] ^ 1,))


def _listed(change: Change) -> Change:
    """A change of the members that the distributor signed."""

    def changed(m: Fields) -> None:
        change(m)
        m["root"] = merkle.root([_digest_of(m)])
        body = lists_body(m["header"], m["buckets"], m["randomness"], m["root"])
        m["signature"] = signing.sign(distributor(), LABEL_LISTS, body)

    return changed


def _digest_of(m: Fields) -> bytes:
    class Row:
        def __init__(self, row: list[Any]) -> None:
            self._row = row

        def row(self) -> list[Any]:
            return self._row

    rows: Any = [Row(row) for row in m["members"]]
    return bucket_digest(m["bucket"], rows)


def _of_lists(own: int, other: int) -> dict[str, Change]:
    def without(m: Fields, position: int) -> None:
        del m["members"][position]
        m["evidence"] = [row for row in m["evidence"] if row[0] < len(m["members"])]

    def low_order(m: Fields) -> None:
        row = m["members"][other]
        row[1] = LOW_ORDER[0] if isinstance(LOW_ORDER[0], bytes) else bytes.fromhex(LOW_ORDER[0])
        keys = {signing.public_key(job_key(i)): job_key(i) for i in range(N)}
        body = {"header": m["header"], "sender": row[0], "public_key": row[1]}
        evidence = next(item for item in m["evidence"] if item[0] == other)
        evidence[1] = signing.sign(keys[row[0]], Advertise.LABEL, body)

    def evidence(m: Fields) -> list[Any]:
        found: list[Any] = next(item for item in m["evidence"] if item[0] == other)
        return found

    return {
        "a signature of nobody": lambda m: m.update(signature=_flip(m["signature"])),
        "another root": lambda m: m.update(root=bytes(32)),
        "a path that leads elsewhere": lambda m: m.update(path=[bytes(32)]),
        "another member than was signed": lambda m: m["members"][other].__setitem__(2, 77),
        "a bucket beyond the last": lambda m: m.update(bucket=1),
        "this wallet left out": _listed(lambda m: without(m, own)),
        "another key of this wallet": _listed(lambda m: m["members"][own].__setitem__(1, bytes(32))),
        "too few members": _listed(
            lambda m: [without(m, p) for p in range(N - 1, -1, -1) if p not in (own, other)]
        ),
        "more members than the header allows": _listed(
            lambda m: m["members"].extend(
                [bytes([i]) * 32, bytes([i + 9]) * 32, 90 + i, EXPIRES] for i in range(3)
            )
        ),
        "no members": _listed(lambda m: m.update(members=[], evidence=[])),
        "members that are no rows": lambda m: m.update(members=["a", "b"]),
        "a row that is too short": lambda m: m["members"][other].pop(),
        "a path of 41 hashes": lambda m: m.update(path=[bytes(32)] * 41),
        "a path in one piece": lambda m: m.update(path=bytes(32)),
        "a key twice": _listed(lambda m: m["members"][other].__setitem__(0, m["members"][own][0])),
        "an index twice": _listed(lambda m: m["members"][other].__setitem__(2, m["members"][own][2])),
        "an index beyond any log": _listed(lambda m: m["members"][other].__setitem__(2, 2**40 + 1)),
        "no evidence of a neighbour": lambda m: m.update(
            evidence=[row for row in m["evidence"] if row[0] != other]
        ),
        "a neighbour's key that it did not sign": lambda m: evidence(m).__setitem__(1, _flip(evidence(m)[1])),
        "a neighbour outside the log": lambda m: evidence(m).__setitem__(
            2, [bytes(32)] * len(evidence(m)[2])
        ),
        "a proof that is too long": lambda m: evidence(m)[2].append(bytes(32)),
        "evidence out of order": lambda m: m["evidence"].reverse(),
        "evidence of a stranger": lambda m: m["evidence"].append([N, bytes(64), []]),
        "a neighbour with a key of small order": _listed(low_order),
    }


def _of_bundles(own: int, other: int) -> dict[str, Change]:
    def leave(m: Fields, gone: set[int]) -> None:
        m["joined"] = [p for p in m["joined"] if p not in gone]
        m["shares"] = [row for row in m["shares"] if row[0] not in gone]

    others = [p for p in range(N) if p != own]
    return {
        "another bucket": lambda m: m.update(bucket=1),
        "this wallet left out": lambda m: m["joined"].remove(own),
        "a stranger joined": lambda m: m["joined"].append(N),
        "too few joined": lambda m: leave(m, set(others[1:])),
        "too few neighbours joined": lambda m: leave(m, set(others[2:])),
        "a share is missing": lambda m: m["shares"].pop(0),
        "a share too many": lambda m: m["shares"].append([N, bytes(48)]),
        "positions that do not ascend": lambda m: m["joined"].reverse(),
        "positions in words": lambda m: m.update(joined=["0", "1", "2", "3", "4"]),
        "positions that are true": lambda m: m["joined"].__setitem__(1, True),
        "a position beyond any bucket": lambda m: m["joined"].append(1 << 20),
        "a share that is cut": lambda m: m["shares"][0].__setitem__(1, bytes(47)),
        "shares of which too few open": lambda m: [
            row.__setitem__(1, _flip(row[1])) for row in m["shares"][:2]
        ],
    }


def _survived(change: Change) -> Change:
    """A change of the survivors that the distributor signed."""

    def changed(m: Fields) -> None:
        change(m)
        m["root"] = merkle.root([survivors_digest(m["bucket"], m["positions"])])
        body = survivors_body(m["header"], m["lists_root"], m["buckets"], m["root"], m["total"])
        m["signature"] = signing.sign(distributor(), LABEL_SURVIVORS, body)

    return changed


def _of_survivors(own: int, other: int) -> dict[str, Change]:
    others = [p for p in range(N) if p != own]

    def only(*positions: int, total: int) -> Change:
        return _survived(lambda m: m.update(positions=sorted(positions), total=total))

    return {
        "a signature of nobody": lambda m: m.update(signature=_flip(m["signature"])),
        "another bucket": lambda m: m.update(bucket=1, buckets=2),
        "a bucket beyond the last": lambda m: m.update(bucket=1),
        "other lists": lambda m: m.update(lists_root=bytes(32)),
        "another number of buckets": lambda m: m.update(buckets=2),
        "a total that nobody signed": lambda m: m.update(total=m["total"] + 1),
        "a path that leads elsewhere": lambda m: m.update(path=[bytes(32)]),
        "other positions than were signed": lambda m: m["positions"].remove(other),
        "without this wallet": only(*others, total=4),
        "a wallet that did not join": only(*range(N), N, total=N + 1),
        "fewer than the bucket's minimum": only(own, other, total=N),
        "fewer than the release minimum": only(own, *others[:2], total=3),
        "too few neighbours": only(own, *others[:2], total=4),
        "a total below its own positions": _survived(lambda m: m.update(total=2)),
        "positions that do not ascend": lambda m: m["positions"].reverse(),
    }


def _of_agreements(other: int) -> dict[str, Change]:
    def item(m: Fields) -> list[Any]:
        found: list[Any] = next(row for row in m["agreements"] if row[0] == other)
        return found

    return {
        "another bucket": lambda m: m.update(bucket=1),
        "about other survivors": lambda m: m.update(survivors=bytes(32)),
        "too few agree": lambda m: m.update(agreements=m["agreements"][:2]),
        "a neighbour that did not sign": lambda m: item(m).__setitem__(1, _flip(item(m)[1])),
        "strangers instead of neighbours": lambda m: [
            row.__setitem__(0, row[0] + N) for row in m["agreements"]
        ],
        "positions that do not ascend": lambda m: m["agreements"].reverse(),
        "a signature that is cut": lambda m: item(m).__setitem__(1, bytes(63)),
    }
