"""The whole story of a wallet that tampers: its bucket stands out, it is excluded and told, it objects, an administrator decides.

Both roles on loopback sockets, real secure aggregation; what the wallet keeps and shows is in tests/unit/agent/test_standing.py.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import numpy as np
import pytest
from asgiref.sync import sync_to_async

from aggregation.secagg.messages import Appeal
from aggregation.server import config, models
from aggregation.server.services import exclusions
from aggregation.tampering.offenders import Account, together
from aggregation.wire import sealing, signing
from tests.apps.roles.wallet import Wallet
from tests.apps.roles.world import World
from wallets.distributor.models import Subscriber

pytestmark = pytest.mark.django_db(transaction=True, databases=["distributor", "aggregator"])
WALLETS, BUCKET = 24, 4


async def held(world: World, number: int, **changed: Any) -> dict[str, Any]:
    await world.open_round(number, cohort=WALLETS, bucket_size=BUCKET, bucket_min=2, rule="filter", **changed)
    state = await world.over(number)
    assert state["state"] == "released", state
    return state


def nearly_proven(world: World, wallet: Wallet) -> None:
    """Evidence as after many rounds: one more in which its bucket stands out is enough."""
    chance = together(WALLETS, BUCKET)
    account, before = Account(), Account()
    while not account.accused:
        before, account = account, account.after(hit=True, share=BUCKET / WALLETS, chance=chance)
    models.Suspicion.objects.create(
        collective_id=world.collective_id,
        subscription_key=wallet.public.hex(),
        visits=before.visits,
        hits=before.hits,
        stakes=list(before.stakes),
        at=config.now(),
    )


async def said(wallet: Wallet) -> list[dict[str, Any]]:
    """Letters about its standing that reached the wallet."""
    return [json.loads(frame["body"]) for frame in wallet.frames if frame.get("kind") == "standing"]


async def told(world: World, wallet: Wallet, count: int) -> dict[str, Any]:
    async def there() -> bool:
        return len(await said(wallet)) >= count

    await world.until(there)
    return (await said(wallet))[-1]


async def object_to(world: World, wallet: Wallet, text: str) -> int:
    message = Appeal.sign(
        wallet.subscription,
        collective=world.collective_id.bytes,
        text=text.encode(),
        created=int(time.time()),
    )
    sealed = sealing.seal(world.seal_key, b"cssi/v1/appeal", message.to_bytes(), os.urandom)
    answer = await world.client.put(world.url("/aggregator/appeals"), content=sealed)
    return answer.status_code


async def test_a_tampering_wallet_is_excluded_told_heard_and_asked_again(world: World) -> None:
    world.bits = 5
    await world.enrol(WALLETS, scripts={0: {"sends": 2000}})
    wild, honest = world.wallets[0], world.wallets[1:]
    await sync_to_async(nearly_proven)(world, wild)

    first = await held(world, 1)
    assert sorted(bucket["stood_out"] for bucket in first["buckets"]) == [False] * 5 + [True]
    total, count = await world.sum(1)
    assert count == WALLETS - BUCKET
    assert np.abs(total).max() < 2000  # the bucket with the wild wallet is not in it
    await world.ok(
        "collectives",
        "POST",
        f"/internal/aggregator/jobs/{world.job_id}/rounds/1/collected",
        {"checkpoint_hash": "ab" * 32},
    )

    letter = await told(world, wild, 1)
    signature = bytes.fromhex(letter.pop("signature"))
    signing.verify(signing.public_key(world.key("aggregator")), exclusions.LABEL, letter, signature)
    assert (letter["state"], letter["subscription_key"]) == ("excluded", wild.public.hex())
    assert "at most one in 1" in letter["reason"]
    assert not any([await said(wallet) for wallet in honest])

    second = await held(world, 2, minimum=8)
    assert (second["receipts"], any(bucket["stood_out"] for bucket in second["buckets"])) == (23, False)
    assert 2 not in wild.updates

    assert await object_to(world, honest[0], "And I?") == 404
    assert await object_to(world, wild, "My phone was stolen.") == 201
    assert await object_to(world, wild, "My phone was stolen.") == 200
    exclusion = await sync_to_async(models.Exclusion.objects.get)()
    assert exclusion.appeal == "My phone was stolen."
    await sync_to_async(exclusions.decide)(
        exclusion_id=exclusion.pk, reinstate=True, reason="A new device was shown.", by="admin"
    )
    letter = await told(world, wild, 2)
    assert (letter["state"], letter["reason"]) == ("reinstated", "A new device was shown.")
    assert await object_to(world, wild, "Thanks.") == 404
    assert not await sync_to_async(
        models.Suspicion.objects.filter(subscription_key=wild.public.hex()).exists
    )()
    state = await sync_to_async(Subscriber.objects.values_list("state", flat=True).get)(key=wild.public.hex())
    assert state == Subscriber.State.ACTIVE


async def test_nothing_is_kept_about_anybody_while_no_bucket_stands_out(world: World) -> None:
    await world.enrol(WALLETS)
    await held(world, 1)
    assert await sync_to_async(models.Suspicion.objects.count)() == 0
