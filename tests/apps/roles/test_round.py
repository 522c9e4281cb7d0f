"""Whole rounds: both roles on loopback sockets, scripted wallets with the real secure aggregation client."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from asgiref.sync import sync_to_async

from aggregation.server import config, models
from tests.apps.roles.wallet import Visit, Wallet
from tests.apps.roles.world import World

pytestmark = pytest.mark.django_db(transaction=True, databases=["distributor", "aggregator"])

DEATHS = ("advertise", "share_keys", "bundle", "masked_input", "consistency")
"""The step after which a wallet dies. From `masked_input` on, its input is in the sum."""


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "GRACE_SECONDS", 0.6)
    monkeypatch.setattr(config, "RESTART_GRACE_SECONDS", 5.0)


async def visits() -> int:
    return await sync_to_async(models.Visit.objects.count)()


async def nothing_is_left(world: World) -> None:
    """After a round neither files nor messages nor a place in a bucket remain."""

    def rows() -> tuple[int, int, int]:
        return (
            models.PhaseMessage.objects.count(),
            models.MaskedInput.objects.count(),
            models.Participant.objects.exclude(ticket="").count(),
        )

    assert await sync_to_async(rows)() == (0, 0, 0)
    assert not any(path.is_dir() for path in config.spool().glob("*"))


async def test_the_sum_of_a_round_is_the_plain_sum_and_every_visit_is_owed(world: World) -> None:
    await world.enrol(24)
    await world.open_round(1, cohort=24)
    state = await world.over(1)
    assert state["state"] == "released", state
    assert state["receipts"] == state["survivors"] == 24
    assert [bucket["ok"] for bucket in state["buckets"]] == [True] * len(state["buckets"])
    total, count = await world.sum(1)
    assert count == 24
    assert np.array_equal(total, world.plain_sum(1, world.wallets))
    assert await visits() == 24
    await nothing_is_left(world)
    path = f"/internal/aggregator/jobs/{world.job_id}/rounds/1"
    for _ in range(2):
        await world.ok("collectives", "POST", f"{path}/collected", {"checkpoint_hash": "ab" * 32})
    assert (await world.call("collectives", "GET", f"{path}/sum"))[1]["code"] == "no_sum"
    assert (await world.state(1))["state"] == "posted"
    await world.open_round(2, cohort=24)
    assert (await world.over(2))["state"] == "released"
    assert await visits() == 48


async def test_wallets_that_die_in_any_phase_are_survived_and_paid(world: World) -> None:
    scripts: dict[int, dict[str, Any]] = {i: {"die_after": step} for i, step in enumerate(DEATHS)}
    await world.enrol(40, scripts=scripts)
    await world.open_round(1, cohort=40, bucket_size=40, release_min=20)
    state = await world.over(1)
    assert state["state"] == "released", state
    inside = [w for w in world.wallets if w.script.get("die_after") not in DEATHS[:3]]
    total, count = await world.sum(1)
    assert count == len(inside) == 37
    assert np.array_equal(total, world.plain_sum(1, inside))
    assert await visits() == state["receipts"] == 40
    outcomes = [wallet.outcomes for wallet in world.wallets]
    assert outcomes[: len(DEATHS)] == [["died"]] * len(DEATHS)
    await world.until(lambda: _all_done(world.wallets[len(DEATHS) :]))
    await nothing_is_left(world)


async def _all_done(wallets: list[Wallet]) -> bool:
    return all(wallet.outcomes == ["released"] for wallet in wallets)


async def test_wallets_whose_socket_is_cut_come_back_and_are_counted_once(world: World) -> None:
    steps = ("receipt", "advertise", "share_keys", "masked_input", "consistency", "unmask")
    await world.enrol(24, scripts={i: {"cut_after": step} for i, step in enumerate(steps)})
    await world.open_round(1, cohort=24)
    state = await world.over(1)
    assert (state["state"], state["survivors"]) == ("released", 24)
    total, count = await world.sum(1)
    assert count == 24
    assert np.array_equal(total, world.plain_sum(1, world.wallets))
    assert await visits() == 24


class Returning(Visit):
    """Comes when all is over and hears what it is told until the end."""

    def __init__(self, wallet: Wallet) -> None:
        assert wallet.last is not None
        super().__init__(wallet, wallet.last.task, wallet.last.delivery)
        self.heard: list[dict[str, Any]] = []

    async def _on(self, message: dict[str, Any]) -> bool:
        self.heard.append(message)
        return message["t"] == "done"

    async def come(self, *, receipted: bool) -> list[dict[str, Any]]:
        self.receipted = receipted
        await self._take_part()
        return self.heard


async def test_who_comes_back_when_all_is_over_hears_first_that_its_receipt_is_stored(world: World) -> None:
    await world.enrol(24, scripts={0: {"cannot": True}})
    await world.open_round(1, cohort=24)
    assert (await world.over(1))["receipts"] == 23
    stored, done = {"t": "ack", "of": "receipt"}, {"t": "done", "outcome": "released", "reason": ""}
    assert await Returning(world.wallets[1]).come(receipted=False) == [stored, done]
    assert await Returning(world.wallets[0]).come(receipted=True) == [done]
    assert await visits() == 23


@pytest.mark.parametrize("step", ["advertise", "share_keys", "masked_input", "consistency", "unmask"])
async def test_a_round_survives_the_death_of_the_server_process(world: World, step: str) -> None:
    """Two wallets hold the phase open until the process died and another one took its place."""
    await world.enrol(24, scripts={i: {"hold_before": step} for i in range(2)})
    await world.open_round(1, cohort=24)

    async def held() -> bool:
        return all(wallet.held.is_set() for wallet in world.wallets[:2])

    await world.until(held)
    await world.kill_web()
    for wallet in world.wallets:
        wallet.released.set()
    await asyncio.sleep(0.3)
    await world.start_web()
    state = await world.over(1)
    assert (state["state"], state["survivors"]) == ("released", 24), state
    total, _ = await world.sum(1)
    assert np.array_equal(total, world.plain_sum(1, world.wallets))
    assert await visits() == 24


async def test_a_round_survives_a_worker_that_dies_while_it_holds_the_lease(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "LEASE_SECONDS", 1.0)
    await world.enrol(24)
    world.worker.alive = False  # nobody closes the first phase
    await world.open_round(1, cohort=24)

    def deliver_and_claim() -> None:
        from wallets.distributor.models import Round
        from wallets.distributor.services import rounds

        rounds.step(Round.objects.get().pk)

    async def invited() -> bool:
        return (await world.distributed(1))["accepted"] == 24

    await world.until(invited)
    await sync_to_async(deliver_and_claim, thread_sensitive=False)()

    async def advertised() -> bool:
        return await sync_to_async(models.PhaseMessage.objects.count)() == 24

    await world.until(advertised)

    def die_holding_the_lease() -> None:
        models.Round.objects.update(lease_until=config.precise_now() + 1.0, fence=99)

    await sync_to_async(die_holding_the_lease)()
    world.worker.alive = True
    state = await world.over(1)
    assert (state["state"], state["survivors"]) == ("released", 24)
    assert await visits() == 24


async def test_below_the_release_minimum_nothing_is_revealed_and_receipts_are_paid(world: World) -> None:
    await world.enrol(12, scripts={i: {"die_after": "share_keys"} for i in range(6)})
    await world.open_round(1, cohort=12, bucket_size=12, release_min=8)
    state = await world.over(1)
    assert state["state"] == "abandoned", state
    assert state["code"] == "below_threshold"
    assert state["reason"].startswith("Too few neighbours are left to unmask; nothing was revealed.")
    assert not any(wallet.revealed for wallet in world.wallets)
    path = f"/internal/aggregator/jobs/{world.job_id}/rounds/1/sum"
    assert (await world.call("collectives", "GET", path))[1]["code"] == "no_sum"
    assert await visits() == state["receipts"] == 12
    await nothing_is_left(world)


async def test_a_shortfall_before_delivery_costs_nothing(world: World) -> None:
    await world.enrol(12, scripts={i: {"decline": True} for i in range(6)})
    await world.open_round(1, cohort=12, accept_seconds=2)

    async def short() -> bool:
        return (await world.distributed(1))["state"] == "short"

    await world.until(short)
    assert (await world.distributed(1))["delivered"] == 0
    await world.ok("collectives", "DELETE", f"/internal/aggregator/jobs/{world.job_id}/rounds/1")
    assert (await world.state(1))["state"] == "abandoned"
    assert await visits() == 0
    assert any(frame["t"] == "cancelled" for frame in world.wallets[-1].frames)


async def test_a_wallet_without_the_data_is_not_paid_and_one_whose_training_fails_is(world: World) -> None:
    await world.enrol(20, scripts={0: {"cannot": True}, 1: {"fails": True}})
    await world.open_round(1, cohort=20, bucket_size=20)
    state = await world.over(1)
    assert (state["state"], state["survivors"], state["receipts"]) == ("released", 18, 19)

    def paid(wallet: Wallet) -> bool:
        return models.Visit.objects.filter(subscription_key=wallet.public.hex()).exists()

    assert not await sync_to_async(paid)(world.wallets[0])
    assert await sync_to_async(paid)(world.wallets[1])


async def test_a_failed_bucket_is_dropped_while_the_rest_is_released(world: World) -> None:
    await world.enrol(40)
    await world.open_round(1, cohort=40, bucket_size=20, release_min=16)

    def in_first_bucket() -> set[str]:
        rows = models.Participant.objects.filter(bucket=0)
        return set(rows.values_list("job_key", flat=True))

    doomed: set[str] = set()

    async def assigned() -> bool:
        doomed.update(await sync_to_async(in_first_bucket)())
        return bool(doomed)

    for wallet in world.wallets:
        wallet.script["hold_before"] = "masked_input"
    await world.until(assigned)
    for wallet in world.wallets:
        if wallet.job_public.hex() in doomed:
            wallet.script["die_after"] = "bundle"
        wallet.released.set()
    state = await world.over(1)
    assert (state["state"], state["survivors"]) == ("released", 20), state
    assert sorted(bucket["ok"] for bucket in state["buckets"]) == [False, True]
    rest = [wallet for wallet in world.wallets if wallet.job_public.hex() not in doomed]
    total, count = await world.sum(1)
    assert count == 20
    assert np.array_equal(total, world.plain_sum(1, rest))
