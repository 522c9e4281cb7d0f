"""PayoutPool, SubscriptionRegistry and DevToken: every function, every revert, every event."""

from __future__ import annotations

import pytest
from eth_account import Account
from eth_utils import keccak

from aggregation.epochs import claim_proof, owed_root
from collectives.terms import agreement
from tests.contracts.evm import NOW, Reverted, who
from tests.contracts.test_escrow import refusal
from tests.contracts.world import ADMIN, FAUCET, PAYER, PUBLISHER, SETTLER, STRANGER, ZERO, World, key_of

A, B, C = who(101), who(102), who(103)
BATCH = b"\x01" * 32
OWED = {A: 7, B: 11, C: 13}


@pytest.fixture
def world() -> World:
    found = World()
    found.fund_pool(1_000)
    return found


def test_a_push_pays_everybody_and_says_the_sum(world: World) -> None:
    done = world.pool.push(PAYER, BATCH, [A, B, C], [1, 2, 3])

    assert [e.values for e in done.events if e.name == "Pushed"] == [
        {"batch": BATCH, "recipients": 3, "amount": 6}
    ]
    assert [world.balance(holder) for holder in (A, B, C)] == [1, 2, 3]
    assert world.pool.ask("totalPaid") == 6


def test_a_batch_is_pushed_once(world: World) -> None:
    world.pool.push(PAYER, BATCH, [A], [1])

    assert refusal(world.pool.push, PAYER, BATCH, [A], [1]) == ("BatchRepeated", (BATCH,))
    assert world.balance(A) == 1


@pytest.mark.parametrize("recipients", [[A, A], [B, A], [A, C, B]])
def test_recipients_strictly_ascend(world: World, recipients: list[bytes]) -> None:
    name, _ = refusal(world.pool.push, PAYER, BATCH, recipients, [1] * len(recipients))

    assert name == "NotAscending"
    assert world.balance(A) == 0


def test_nobody_is_the_zero_address(world: World) -> None:
    assert refusal(world.pool.push, PAYER, BATCH, [bytes(20)], [1])[0] == "NotAscending"


def test_a_batch_is_neither_empty_nor_above_500_nor_uneven(world: World) -> None:
    many = [who(1_000 + n) for n in range(501)]
    assert refusal(world.pool.push, PAYER, BATCH, [], []) == ("BadBatch", (0, 0))
    assert refusal(world.pool.push, PAYER, BATCH, many, [1] * 501) == ("BadBatch", (501, 501))
    assert refusal(world.pool.push, PAYER, BATCH, [A, B], [1]) == ("BadBatch", (2, 1))
    world.pool.push(PAYER, BATCH, many[:500], [1] * 500)
    assert world.pool.ask("totalPaid") == 500


def test_a_push_above_the_pool_pays_nobody(world: World) -> None:
    name, arguments = refusal(world.pool.push, PAYER, BATCH, [A, B], [600, 401])

    assert (name, arguments[1:]) == ("ERC20InsufficientBalance", (400, 401))
    assert world.balance(A) == 0
    world.pool.push(PAYER, BATCH, [A, B], [600, 400])


@pytest.mark.parametrize("sender", [ADMIN, SETTLER, PUBLISHER, STRANGER])
def test_only_a_payer_pushes_and_only_a_publisher_publishes(world: World, sender: bytes) -> None:
    assert refusal(world.pool.push, sender, BATCH, [A], [1])[0] == "AccessControlUnauthorizedAccount"
    if sender != PUBLISHER:
        assert refusal(world.pool.publish, sender, ZERO)[0] == "AccessControlUnauthorizedAccount"


def test_anybody_carries_a_claim_and_the_holder_is_paid(world: World) -> None:
    done = world.pool.publish(PUBLISHER, owed_root(OWED))
    assert [e.values for e in done.events] == [{"root": owed_root(OWED)}]

    claimed = world.pool.claim(STRANGER, B, 11, claim_proof(OWED, B))

    assert [e.values for e in claimed.events if e.name == "Claimed"] == [
        {"holder": "0x" + B.hex(), "amount": 11}
    ]
    assert (world.balance(B), world.balance(STRANGER), world.pool.ask("totalPaid")) == (11, 0, 11)
    assert (world.pool.ask("credit", B), world.pool.ask("creditTotal")) == (11, 11)


def test_a_claim_is_paid_once(world: World) -> None:
    world.pool.publish(PUBLISHER, owed_root(OWED))
    world.pool.claim(STRANGER, B, 11, claim_proof(OWED, B))

    assert refusal(world.pool.claim, STRANGER, B, 11, claim_proof(OWED, B))[0] == "NothingDue"
    more = OWED | {B: 15}
    world.pool.publish(PUBLISHER, owed_root(more))
    world.pool.claim(STRANGER, B, 15, claim_proof(more, B))
    assert world.balance(B) == 15


def test_a_wrong_claim_is_refused(world: World) -> None:
    assert refusal(world.pool.claim, A, A, 7, claim_proof(OWED, A))[0] == "NotInRoot"
    world.pool.publish(PUBLISHER, owed_root(OWED))

    for holder, owed, proof in [
        (A, 8, claim_proof(OWED, A)),
        (STRANGER, 7, claim_proof(OWED, A)),
        (A, 7, claim_proof(OWED, B)),
        (A, 7, []),
    ]:
        assert refusal(world.pool.claim, A, holder, owed, proof)[0] == "NotInRoot"
    assert world.pool.ask("totalPaid") == 0


def test_a_push_ends_the_root_in_force(world: World) -> None:
    world.pool.publish(PUBLISHER, owed_root(OWED))
    world.pool.push(PAYER, BATCH, [A], [7])

    assert world.pool.ask("root") == ZERO
    assert refusal(world.pool.claim, A, A, 7, claim_proof(OWED, A))[0] == "NotInRoot"
    assert world.balance(A) == 7


def test_what_was_claimed_is_left_out_of_later_pushes(world: World) -> None:
    world.pool.publish(PUBLISHER, owed_root(OWED))
    world.pool.claim(STRANGER, A, 7, claim_proof(OWED, A))

    first = world.pool.push(PAYER, BATCH, [A, B], [5, 5])
    second = world.pool.push(PAYER, b"\x02" * 32, [A], [5])

    assert [e.values for e in first.events if e.name == "CreditUsed"] == [
        {"holder": "0x" + A.hex(), "amount": 5}
    ]
    assert [e.values["amount"] for e in second.events if e.name == "Pushed"] == [3]
    assert (world.balance(A), world.balance(B)) == (10, 5), "ten were planned, seven of them were claimed"
    assert (world.pool.ask("credit", A), world.pool.ask("creditTotal")) == (0, 0)
    assert world.pool.ask("totalPaid") == 15


COLLECTIVE = b"\x10" * 16 + bytes(16)


def agreements(count: int) -> list[bytes]:
    return [keccak(text=f"agreement {n}") for n in range(count)]


def test_an_epoch_is_registered_once(world: World) -> None:
    done = world.registry.register(PUBLISHER, COLLECTIVE, 3, b"\x05" * 32)

    assert [(e.name, e.values) for e in done.events] == [
        ("Registered", {"collectiveId": COLLECTIVE, "epoch": 3, "root": b"\x05" * 32})
    ]
    assert refusal(world.registry.register, PUBLISHER, COLLECTIVE, 3, b"\x06" * 32) == (
        "EpochRegistered",
        (COLLECTIVE, 3),
    )
    world.registry.register(PUBLISHER, COLLECTIVE, 4, b"\x06" * 32)
    assert world.registry.ask("roots", COLLECTIVE, 3) == b"\x05" * 32


def test_an_agreement_is_in_force_until_it_is_revoked(world: World) -> None:
    first, second, third = agreements(3)
    leaves = sorted(keccak(found) for found in (first, second, third))
    pair = keccak(b"".join(sorted(leaves[:2])))
    root = keccak(b"".join(sorted((pair, leaves[2]))))
    world.registry.register(PUBLISHER, COLLECTIVE, 1, root)
    inner = next(found for found in (first, second, third) if keccak(found) == leaves[2])

    assert world.registry.ask("isInForce", COLLECTIVE, 1, inner, [pair]) is True
    assert world.registry.ask("isInForce", COLLECTIVE, 2, inner, [pair]) is False
    assert world.registry.ask("isInForce", COLLECTIVE, 1, keccak(text="nobody's"), [pair]) is False

    done = world.registry.revoke(PUBLISHER, COLLECTIVE, inner)

    assert [(e.name, e.values) for e in done.events] == [
        ("Revoked", {"collectiveId": COLLECTIVE, "agreementHash": inner})
    ]
    assert world.registry.ask("isInForce", COLLECTIVE, 1, inner, [pair]) is False


@pytest.mark.parametrize("sender", [ADMIN, PAYER, STRANGER])
def test_only_a_publisher_registers_and_revokes(world: World, sender: bytes) -> None:
    assert (
        refusal(world.registry.register, sender, COLLECTIVE, 1, ZERO)[0] == "AccessControlUnauthorizedAccount"
    )
    assert refusal(world.registry.revoke, sender, COLLECTIVE, ZERO)[0] == "AccessControlUnauthorizedAccount"


def test_the_chain_hashes_an_agreement_as_the_wallet_does(world: World) -> None:
    message = agreement.build(
        collective_id="7b0c1f6e-2d51-4c3e-9a56-0f4c5a7c1d11",
        terms_hash="11" * 32,
        requirement_hash="22" * 32,
        rate=5 * 10**15,
        payout_hash=b"\x33" * 32,
        valid_from=NOW,
        valid_until=NOW + 1_000,
        nonce=7,
    )
    hashes = [bytes.fromhex(message[name]) for name in ("collectiveId", "termsHash", "requirementHash")]
    values = [
        *hashes,
        int(message["rate"]),
        bytes.fromhex(message["payoutHash"]),
        int(message["validFrom"]),
        int(message["validUntil"]),
        int(message["nonce"]),
    ]

    found = world.registry.ask("hashAgreement", tuple(values))

    assert found.hex() == agreement.agreement_hash(message)


def test_only_the_faucet_mints(world: World) -> None:
    assert refusal(world.token.mint, ADMIN, A, 1)[0] == "AccessControlUnauthorizedAccount"
    world.token.mint(FAUCET, A, 5)
    assert world.balance(A) == 5


def test_the_token_moves_by_its_owner_alone(world: World) -> None:
    world.token.mint(FAUCET, A, 5)
    with pytest.raises(Reverted, match="ERC20InsufficientAllowance"):
        world.token.transferFrom(STRANGER, A, STRANGER, 1)
    world.token.transfer(A, B, 2)

    assert (world.balance(A), world.balance(B)) == (3, 2)


def test_a_permit_of_another_key_is_refused(world: World) -> None:
    _, owner = key_of(1)
    wrong = Account.create().unsafe_sign_hash(keccak(b"x"))
    v, r, s = wrong.v, wrong.r.to_bytes(32, "big"), wrong.s.to_bytes(32, "big")

    assert refusal(world.token.permit, STRANGER, owner, B, 1, NOW + 1, v, r, s)[0] == "ERC2612InvalidSigner"
