"""What the calls of every day cost. `python -m tests.contracts.gas` rewrites gas_report.json; the test compares with it."""

from __future__ import annotations

import json
from pathlib import Path

from eth_utils import keccak

from aggregation.epochs import claim_leaf, claim_proof, owed_root
from tests.contracts.evm import NOW, who
from tests.contracts.world import DAY, LISTER, PAYER, PUBLISHER, SETTLER, STRANGER, World, key_of, permit

REPORT = Path(__file__).parent / "gas_report.json"
TOKEN = 10**18
RATE, LOT = 5 * 10**15, 5 * 10**16
VISITS, WALLETS, BATCH = 2_000_000, 100_000, 500
RECIPIENTS = 500  # of one push as the platform sends it
JOB = b"\x5a" * 16 + bytes(16)


def addresses(first: int, count: int) -> list[bytes]:
    """Ascending addresses with as few zero bytes as real ones have."""
    step = 2**160 // (2 * WALLETS)
    return [
        (step * (first + n) + int.from_bytes(b"\x9d" * 12)).to_bytes(20, "big") for n in range(1, count + 1)
    ]


def proofs(owed: dict[bytes, int]) -> dict[bytes, list[bytes]]:
    """What `claim_proof` finds for each address, from a tree that is built once: the contract takes no wrong one."""
    leaves = {claim_leaf(holder, amount): holder for holder, amount in owed.items()}
    level = sorted(leaves)
    found: dict[bytes, list[bytes]] = {holder: [] for holder in owed}
    below = [[leaves[leaf]] for leaf in level]
    while len(level) > 1:
        for place, holders in enumerate(below):
            if place ^ 1 < len(level):
                for holder in holders:
                    found[holder].append(level[place ^ 1])
        level = [
            keccak(b"".join(sorted(level[n : n + 2]))) if n + 1 < len(level) else level[n]
            for n in range(0, len(level), 2)
        ]
        below = [[one for group in below[n : n + 2] for one in group] for n in range(0, len(below), 2)]
    return found


def measure() -> dict[str, int]:
    """Gas by name, on a state that is neither fresh nor artificially warm."""
    world = World()
    private, consumer = key_of(1)
    root = b"\x77" * 32
    world.open(b"\x01" * 32, who(60), RATE, 20_000 * TOKEN)
    world.escrow.settle(SETTLER, b"\x01" * 32, 1, VISITS, root)
    world.escrow.fundPool(STRANGER)
    found: dict[str, int] = {}

    world.token.mint(who(5), consumer, 30_000 * TOKEN)
    found["approve_gas"] = world.token.approve(consumer, world.escrow.address, 10_000 * TOKEN).gas
    found["open_job_gas"] = world.escrow.openJob(
        consumer, JOB, b"\x41" * 32, RATE, 10_000 * TOKEN, NOW + DAY
    ).gas
    signature = permit(world, private, world.escrow.address, 10_000 * TOKEN, deadline=NOW + 60)
    found["open_job_with_permit_gas"] = world.escrow.openJobWithPermit(
        consumer, b"\x5b" * 32, b"\x42" * 32, RATE, 10_000 * TOKEN, NOW + DAY, NOW + 60, *signature
    ).gas
    found["settle_gas"] = world.escrow.settle(SETTLER, JOB, 1, 1_000, root).gas
    found["settle_again_gas"] = world.escrow.settle(SETTLER, JOB, 2, 1_900_000, root).gas
    found["fund_pool_gas"] = world.escrow.fundPool(STRANGER).gas

    # 20 visits of every wallet in one payment to an address that never held the token: the dearest push there is.
    amount = VISITS // WALLETS * RATE
    each = [amount] * BATCH
    found["push_500_gas"] = world.pool.push(PAYER, b"\x31" * 32, addresses(0, BATCH), each).gas
    found["push_500_again_gas"] = world.pool.push(PAYER, b"\x32" * 32, addresses(0, BATCH), each).gas
    found["gas_per_visit"] = -(-found["push_500_gas"] * (WALLETS // BATCH) // VISITS)

    owed = dict.fromkeys(addresses(BATCH, 1000), LOT - RATE)
    found["publish_gas"] = world.pool.publish(PUBLISHER, owed_root(owed)).gas
    holder = next(iter(owed))
    found["claim_gas"] = world.pool.claim(STRANGER, holder, owed[holder], claim_proof(owed, holder)).gas
    found["push_500_with_credits_gas"] = world.pool.push(
        PAYER, b"\x33" * 32, addresses(BATCH, BATCH), each
    ).gas
    few = dict.fromkeys(addresses(2 * BATCH, RECIPIENTS), LOT)
    world.pool.publish(PUBLISHER, owed_root(few))
    for holder, proof in proofs(few).items():
        world.pool.claim(STRANGER, holder, LOT, proof)
    found["push_to_claimers_gas"] = world.pool.push(
        PAYER, b"\x34" * 32, list(few), [2 * LOT] * RECIPIENTS
    ).gas
    model = b"\x61" * 32
    found["offer_gas"] = world.sale.offer(
        LISTER, model, world.datatoken.address, who(70), 100 * TOKEN, 800_000
    ).gas
    signature = permit(world, private, world.sale.address, 100 * TOKEN, deadline=NOW + 60, nonce=1)
    found["buy_with_permit_gas"] = world.sale.buyWithPermit(
        consumer, model, 100 * TOKEN, NOW + 60, *signature
    ).gas
    found["close_gas"] = world.escrow.close(SETTLER, JOB).gas
    found["register_gas"] = world.registry.register(PUBLISHER, JOB, 1, root).gas
    found["revoke_gas"] = world.registry.revoke(PUBLISHER, JOB, root).gas
    return found


if __name__ == "__main__":
    REPORT.write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")
    print(REPORT.read_text(encoding="utf-8"))
