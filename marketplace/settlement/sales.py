"""Pay for model: a finished model is offered, bought once per buyer, and its price splits between collective and individuals.

Who may offer: the collective's owner, for a job they ordered themselves; a model that somebody else paid for is theirs. The individuals'
part is paid through the pool in the next epoch, by the visits that made the model. Which visits those were stays sealed at the
aggregator; the key of each epoch is derived here from the market's own key, and said again only for a sale (ADR 0016).
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import IntegrityError, transaction

from aggregation.wire.secret import Secret
from collectives.models import Checkpoint, Job
from collectives.terms.description import tokens
from marketplace.settlement import assets, clients, conf, orders, outbox, permits, selectors, subjects
from marketplace.settlement.chain import encode_call, job_bytes
from marketplace.settlement.errors import ChainUnavailable, SettlementError, before_money_moves
from marketplace.settlement.models import (
    Asset,
    ChainTransaction,
    Escrow,
    ModelOffer,
    ModelPurchase,
    SettlementEpoch,
)
from marketplace.settlement.wallets import consumer_wallet

GAS = {"offer": 180_000, "withdraw": 90_000}
Offer, Purchase = ModelOffer.Status, ModelPurchase.Status


def sealing_key(epoch: int) -> Secret:
    """The key under which an epoch's visits are kept at the aggregator."""
    private = bytes.fromhex(Path(settings.MARKET_KEY_FILE).read_text(encoding="ascii").strip())
    info = b"cssi/v1/shares" + epoch.to_bytes(4, "big")
    return Secret(HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(private))


def sellable(job_ids: list[str]) -> list[str]:
    """Of some jobs those whose model the collective's owner could sell: ordered by the owner."""
    jobs = Job.objects.filter(pk__in=job_ids).select_related("collective")
    owners = {job.pk: job.collective.owner_id for job in jobs}
    paid = Escrow.objects.filter(job_id__in=owners).values_list("job_id", "consumer__account_id")
    return sorted(str(job) for job, account in paid if owners[job] == account)


def tell_settled() -> None:
    """Let the aggregator forget the visits of every epoch that is done, once.

    Raises:
        ChainUnavailable: the aggregator does not answer.
    """
    untold = SettlementEpoch.objects.filter(status=SettlementEpoch.Status.DONE, told_aggregator=False)
    for epoch in untold.order_by("number"):
        keep = sellable([job["job_id"] for job in epoch.statement["document"]["jobs"]])
        clients.epoch_settled(epoch.number, keep, sealing_key(epoch.number))
        SettlementEpoch.objects.filter(pk=epoch.pk).update(told_aggregator=True)


def offerable(account: Any) -> list[Job]:
    """An owner's finished jobs, paid by themselves, that are not for sale."""
    mine = Job.objects.filter(collective__owner=account).select_related("algorithm", "collective")
    paid = set(
        Escrow.objects.filter(consumer__account=account, status="closed").values_list("job_id", flat=True)
    )
    known = set(ModelOffer.objects.exclude(status=Offer.WITHDRAWN).values_list("job_id", flat=True))
    return [
        job
        for job in mine.filter(pk__in=paid - known)
        if subjects.last_checkpoint(job) is not None and job.visits_earned
    ]


def offer(*, actor: Any, job_id: uuid.UUID, price: int) -> ModelOffer:
    """Offer a finished model, or change its price. For sale when the chain has confirmed it.

    Raises:
        SettlementError: not the owner's own job, not finished, its visits are not kept, a price that cannot be.
        ChainUnavailable: the aggregator does not answer.
    """
    if not 0 < price < 10**27:
        raise SettlementError(
            "bad_price",
            "%(price)s is no price; use more than 0 and less than 1,000,000,000.",
            status=400,
            price=tokens(price),
        )
    found = ModelOffer.objects.filter(job_id=job_id).select_related("asset__payee").first()
    if found is None:
        found = _new_offer(actor, job_id, price)
    elif found.asset.payee.account_id != actor.pk:
        raise SettlementError("not_yours", "Only the owner of the collective offers its models.", status=403)
    else:
        with transaction.atomic():
            ModelOffer.objects.filter(pk=found.pk).update(
                price=price, status=Offer.LISTING, changes=found.changes + 1
            )
        found.refresh_from_db()
    assets.wake()
    return found


def _new_offer(actor: Any, job_id: uuid.UUID, price: int) -> ModelOffer:
    job = Job.objects.filter(pk=job_id, collective__owner=actor).first()
    if job is None or str(job_id) not in sellable([str(job_id)]):
        raise SettlementError(
            "not_yours",
            "A model is offered by the collective's owner, for a job they paid themselves.",
            status=403,
        )
    escrow = Escrow.objects.get(job_id=job_id)
    if subjects.last_checkpoint(job) is None or escrow.status != Escrow.Status.CLOSED:
        raise SettlementError(
            "not_finished", "Only a finished and settled model can be sold; this job goes on."
        )
    tell_settled()
    visits, kept = int(escrow.spent) // int(escrow.rate), int(clients.shares(str(job_id))["visits"])
    if not visits or visits != kept:
        raise SettlementError(
            "no_shares",
            "Of the %(visits)s visits that made this model %(kept)s are kept for a sale, so its "
            "individuals could not be paid by their visits. It cannot be sold.",
            visits=visits,
            kept=kept,
        )
    if not assets.possible():
        raise SettlementError(
            "not_published", "Assets are not published on this chain, so there is nothing to sell."
        )
    asset = assets.publish(kind=Asset.Kind.MODEL, subject=job_id, minter=selectors.address("ModelSale"))
    made, _ = ModelOffer.objects.get_or_create(
        job_id=job_id,
        defaults={"asset": asset, "price": price, "share_ppm": conf.get("MODEL_SHARE_PPM")},
    )
    return made


def withdraw(*, actor: Any, job_id: uuid.UUID) -> None:
    """Take a model off the market at once. Who bought it keeps it."""
    found = ModelOffer.objects.filter(job_id=job_id, asset__payee__account=actor).first()
    if found is None:
        raise SettlementError("not_yours", "You offer no such model.", status=404)
    with transaction.atomic():
        if (
            not ModelOffer.objects.filter(pk=found.pk)
            .exclude(status=Offer.WITHDRAWN)
            .update(status=Offer.WITHDRAWN)
        ):
            return
        if found.status != Offer.OFFERED:
            return
        outbox.enqueue(
            key=f"unoffer:{found.pk}:{found.changes}",
            purpose="lister",
            to=selectors.address("ModelSale"),
            data=encode_call("ModelSale", "withdraw", [job_bytes(job_id)]),
            gas=GAS["withdraw"],
        )
    assets.wake()


def buy(*, account: Any, job_id: uuid.UUID, most: int) -> ModelPurchase:
    """Wish to buy a model for at most `most` base units; it is yours when the chain has confirmed the payment.

    Raises:
        SettlementError: not for sale, dearer than `most`, insufficient funds; each with its numbers, and nothing moves.
    """
    found = ModelOffer.objects.filter(job_id=job_id, status=Offer.OFFERED).first()
    if found is None:
        raise SettlementError("not_for_sale", "This model is not for sale now.", status=404)
    wallet = consumer_wallet(account)
    known = ModelPurchase.objects.filter(offer=found, buyer=wallet).exclude(status=Purchase.FAILED).first()
    if known is not None:
        return known
    if found.price > most:
        raise SettlementError(
            "too_dear",
            "The price is %(price)s now, above your %(most)s. Nothing was moved.",
            price=tokens(int(found.price)),
            most=tokens(most),
        )
    with before_money_moves():
        balance = selectors.balance(wallet.address)
    if balance < found.price:
        raise SettlementError(
            "insufficient_funds",
            "Your wallet holds %(balance)s %(token)s; this model costs %(price)s. Add %(missing)s. "
            "Nothing was moved.",
            balance=tokens(balance),
            token=settings.TOKEN_SYMBOL,
            price=tokens(int(found.price)),
            missing=tokens(int(found.price) - balance),
        )
    try:
        with transaction.atomic():
            made = ModelPurchase.objects.create(offer=found, buyer=wallet, most=found.price)
    except IntegrityError:  # the same wish from another request
        return ModelPurchase.objects.exclude(status=Purchase.FAILED).get(offer=found, buyer=wallet)
    assets.wake()
    return made


def advance() -> int:
    """Send offers whose asset is there, and the next purchase of every wallet that is free; how many rows were made."""
    made = 0
    ready = ModelOffer.objects.filter(status=Offer.LISTING).exclude(asset__datatoken="")
    for found in ready.select_related("asset__payee"):
        made += _send_offer(found)
    waiting = ModelPurchase.objects.filter(status=Purchase.WAITING).select_related("offer__asset", "buyer")
    for purchase in waiting.order_by("created_at"):
        try:
            made += _pay(purchase)
        except ChainUnavailable:
            break
    return made


def _send_offer(found: ModelOffer) -> int:
    key = f"offer:{found.pk}:{found.changes}"
    if ChainTransaction.objects.filter(key=key).exists():
        return 0
    asset = found.asset
    arguments = [
        job_bytes(found.job_id),
        asset.datatoken,
        asset.payee.address,
        int(found.price),
        found.share_ppm,
    ]
    with transaction.atomic():
        outbox.enqueue(
            key=key,
            purpose="lister",
            to=selectors.address("ModelSale"),
            data=encode_call("ModelSale", "offer", arguments),
            gas=GAS["offer"],
        )
    return 1


def _pay(purchase: ModelPurchase) -> int:
    """One transaction with a permit, or an approval before it where the token knows no permits."""
    prefix = f"purchase:{purchase.pk}"
    if orders.busy(purchase.buyer) or ChainTransaction.objects.filter(key=prefix).exists():
        return 0
    sale, most = selectors.address("ModelSale"), int(purchase.most)
    permit = permits.sign(purchase.buyer, sale, most)
    with transaction.atomic():
        if not orders.claim(purchase.buyer):
            return 0
        chained = orders.Chained(purchase.buyer)
        arguments: list[Any] = [job_bytes(purchase.offer.job_id), most]
        if permit is None:
            chained.add("approve", f"payfor:{purchase.pk}", "DevToken", "approve", [sale, most])
            chained.add("purchase", prefix, "ModelSale", "buy", arguments)
        else:
            chained.add(
                "purchase",
                prefix,
                "ModelSale",
                "buyWithPermit",
                [*arguments, permit.deadline, *permit.signature],
            )
    return 1


def waiting() -> bool:
    """Whether a paid sale's individuals wait for an epoch."""
    return ModelPurchase.objects.filter(status=Purchase.PAID, epoch=None).exclude(to_individuals=0).exists()


def due() -> list[dict[str, Any]]:
    """Paid sales whose individuals' part no epoch stated yet, as the aggregator wants them."""
    rows = ModelPurchase.objects.filter(status=Purchase.PAID, epoch=None).exclude(to_individuals=0)
    found = []
    for row in rows.select_related("offer").order_by("created_at"):
        job = str(row.offer.job_id)
        epochs = clients.shares(job)["epochs"]
        found.append(
            {
                "sale_id": str(row.pk),
                "job_id": job,
                "amount": str(int(row.to_individuals)),
                "keys": {str(epoch): sealing_key(epoch).reveal().hex() for epoch in epochs},
            }
        )
    return found


def stated(epoch: int, sale_ids: list[str]) -> None:
    """An epoch pays these; call inside the transaction that keeps its statement."""
    ModelPurchase.objects.filter(pk__in=sale_ids, epoch=None).update(epoch=epoch)


def bought(account: Any) -> list[ModelPurchase]:
    rows = ModelPurchase.objects.filter(buyer__account=account).select_related("offer__asset")
    return list(rows)


def download(account: Any, job_id: uuid.UUID) -> Checkpoint | None:
    """The model's last checkpoint, for who paid for it; None for everybody else."""
    paid = ModelPurchase.objects.filter(
        buyer__account=account, offer__job_id=job_id, status=Purchase.PAID
    ).exists()
    if not paid:
        return None
    return subjects.last_checkpoint(Job.objects.select_related("algorithm").get(pk=job_id))
