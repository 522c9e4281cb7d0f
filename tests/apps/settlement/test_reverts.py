"""Named errors of the contracts in words, with their numbers."""

from __future__ import annotations

import pytest
from eth_abi import encode
from eth_hash.auto import keccak

from marketplace.settlement import reverts

TOKEN = 10**18
WHO = "0x" + "ab" * 20


def said(name: str, kinds: list[str], values: list[object]) -> str:
    return reverts.words(bytes(keccak(f"{name}({','.join(kinds)})".encode()))[:4] + encode(kinds, values))


@pytest.mark.parametrize(
    ("name", "kinds", "values", "words"),
    [
        (
            "ERC20InsufficientBalance",
            ["address", "uint256", "uint256"],
            [WHO, 2 * TOKEN, 5 * TOKEN],
            "0xababab… holds 2 and 5 are needed",
        ),
        (
            "ERC20InsufficientAllowance",
            ["address", "uint256", "uint256"],
            [WHO, TOKEN // 2, 5 * TOKEN],
            "0.5 are allowed to 0xababab… and 5 are needed",
        ),
        (
            "ERC2612ExpiredSignature",
            ["uint256"],
            [1_700_000_000],
            "the permit was good until 14 November 2023 22:13:20 UTC",
        ),
        ("OrderConsumed", ["bytes32"], [b"\x12\x34" * 16], "order 0x12341234… opened a job before"),
        ("OverBudget", ["uint256", "uint256"], [TOKEN, 3 * TOKEN], "1 are left and 3 were asked for"),
        ("WrongSequence", ["uint64", "uint64"], [4, 3], "settlement 3 came where 4 is next"),
        ("BatchRepeated", ["bytes32"], [b"\x01" * 32], "BatchRepeated(0x01010101…)"),
        ("Error", ["string"], ["Not enough tokens"], "Not enough tokens"),
    ],
)
def test_a_named_error_is_said_with_its_numbers(
    name: str, kinds: list[str], values: list[object], words: str
) -> None:
    assert said(name, kinds, values) == words


@pytest.mark.parametrize(
    "data", [b"", b"\x01\x02\x03\x04", bytes(keccak(b"OrderConsumed(bytes32)"))[:4] + b"\x01"]
)
def test_what_says_nothing_known_gives_no_words(data: bytes) -> None:
    assert reverts.words(data) == ""


def test_every_error_in_words_exists_with_as_many_values() -> None:
    known = dict(reverts._errors().values())
    for name, say in reverts.WORDS.items():
        assert len(known[name]) == say.__code__.co_argcount, name
