from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join

from collectives.admin import ReadOnly
from collectives.terms.description import tokens
from marketplace.settlement import alarms, assets, effects, models, outbox, services
from marketplace.settlement.errors import ChainUnavailable, SettlementError

SHOWN = 3


class WhatFor(admin.SimpleListFilter):
    """Transactions by the first word of their business key."""

    title = "what for"
    parameter_name = "kind"
    KINDS = (
        *("open", "settle", "fund", "push", "publish", "close", "register", "revoke", "mint", "deploy"),
        *("asset", "describe", "state", "price", "order", "reuse", "offer", "purchase"),
        *("permit", "bring", "send", "gas"),
    )

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind) for kind in self.KINDS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(key__startswith=f"{self.value()}:") if self.value() else queryset


@admin.register(models.ChainTransaction)
class ChainTransactionAdmin(ReadOnly):
    list_display = ["key", "purpose", "state", "nonce", "hash", "gas_used", "error", "created_at"]
    list_filter = ["state", WhatFor, "purpose"]
    search_fields = ["key", "hash"]
    exclude = ["raw", "data"]
    actions = ["retry", "again"]

    @admin.action(description="Try again what the chain refused, once its cause is gone")
    def again(self, request: HttpRequest, queryset: QuerySet[models.ChainTransaction]) -> None:
        failed = queryset.filter(state=models.ChainTransaction.State.FAILED)
        sent = sum(outbox.again(row) for row in failed)
        self.message_user(request, f"{sent} of {failed.count() + sent} refused transactions are tried again.")

    @admin.action(description="Send again what was signed and not mined (same nonce)")
    def retry(self, request: HttpRequest, queryset: QuerySet[models.ChainTransaction]) -> None:
        again = queryset.filter(state=models.ChainTransaction.State.SENT).update(
            state=models.ChainTransaction.State.SIGNED
        )
        self.message_user(request, f"{again} transactions are sent again at the next sweep.")


def compare(page: admin.ModelAdmin[Any], request: HttpRequest) -> None:
    """Compare ledger and chain, and say the outcome on a page of the administration."""
    try:
        report = services.reconcile()
    except ChainUnavailable:
        page.message_user(request, "The chain or the aggregator does not answer now.", messages.ERROR)
        return
    except SettlementError as error:
        page.message_user(request, str(error), messages.ERROR)
        return
    differing = [f"{name}: {tokens(a)} / {tokens(b)}" for name, a, b in report.differences()]
    if not differing:
        page.message_user(request, f"Equal in all {len(report.lines)} lines.", messages.SUCCESS)
        return
    told = f"{len(differing)} lines differ (ledger / chain), so no new jobs are taken: {'; '.join(differing[:SHOWN])}."
    page.message_user(request, told, messages.ERROR)


@admin.register(models.Reconciliation)
class ReconciliationAdmin(ReadOnly):
    list_display = ["at", "ok", "what_differs"]
    actions = ["compare"]

    @admin.display(description="what differs (ledger / chain)")
    def what_differs(self, row: models.Reconciliation) -> str:
        found = [f"{name}: {tokens(int(a))} / {tokens(int(b))}" for name, a, b in row.lines if a != b]
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        return "; ".join(found[:SHOWN]) + more

    @admin.action(description="Compare ledger and chain now")
    def compare(self, request: HttpRequest, queryset: QuerySet[models.Reconciliation]) -> None:
        compare(self, request)


@admin.register(models.SettlementEpoch)
class SettlementEpochAdmin(ReadOnly):
    list_display = [
        *("number", "status", "earned", "sold", "paid", "carried", "held_over"),
        *("transactions", "registered", "created_at"),
    ]
    list_filter = ["status"]
    readonly_fields = ["chain_rows"]
    actions = ["retry", "again", "go_on", "compare"]

    @admin.display(description="transactions of this epoch")
    def chain_rows(self, epoch: models.SettlementEpoch) -> str:
        rows = effects.of_epoch(epoch.number)
        where = "admin:settlement_chaintransaction_change"
        return format_html_join(
            "",
            '<p><a href="{}">{}</a>: {} {}</p>',
            ((reverse(where, args=[row.pk]), row.key, row.get_state_display(), row.error) for row in rows),
        )

    @admin.action(description="Try again what the chain refused, once its cause is gone")
    def again(self, request: HttpRequest, queryset: QuerySet[models.SettlementEpoch]) -> None:
        failed = [
            row
            for epoch in queryset
            for row in effects.of_epoch(epoch.number).filter(state=models.ChainTransaction.State.FAILED)
        ]
        for row in failed:
            outbox.again(row)
        self.message_user(request, f"{len(failed)} refused transactions are tried again.")

    @admin.action(description="Compare ledger and chain now")
    def compare(self, request: HttpRequest, queryset: QuerySet[models.SettlementEpoch]) -> None:
        compare(self, request)

    @admin.display(description="transactions (confirmed of all)")
    def transactions(self, epoch: models.SettlementEpoch) -> str:
        rows = effects.of_epoch(epoch.number)
        failed = rows.filter(state=models.ChainTransaction.State.FAILED).count()
        confirmed = rows.filter(state=models.ChainTransaction.State.CONFIRMED).count()
        return f"{confirmed} of {rows.count()}" + (f", {failed} failed" if failed else "")

    @admin.action(description="Send again what was sent and not mined (same nonce)")
    def retry(self, request: HttpRequest, queryset: QuerySet[models.SettlementEpoch]) -> None:
        state = models.ChainTransaction.State
        again = sum(
            effects.of_epoch(epoch.number).filter(state=state.SENT).update(state=state.SIGNED)
            for epoch in queryset
        )
        self.message_user(request, f"{again} transactions are sent again at the next sweep.")

    @admin.action(description="Go on with the unfinished epoch, or close the next one, now")
    def go_on(self, request: HttpRequest, queryset: QuerySet[models.SettlementEpoch]) -> None:
        try:
            epoch = services.run_epoch()
        except (ChainUnavailable, SettlementError) as error:
            self.message_user(request, str(error) or "The aggregator does not answer now.", messages.ERROR)
            return
        told = (
            f"Epoch {epoch.number}: {epoch.get_status_display()}." if epoch else "There is nothing to settle."
        )
        self.message_user(request, told)

    @admin.display(description="agreement roots on chain")
    def registered(self, epoch: models.SettlementEpoch) -> str:
        rows = models.ChainTransaction.objects.filter(
            key__startswith="register:", key__endswith=f":{epoch.number}"
        )
        confirmed = rows.filter(state=models.ChainTransaction.State.CONFIRMED).count()
        return f"{confirmed} of {rows.count()}"


@admin.register(models.Payout)
class PayoutAdmin(ReadOnly):
    list_display = ["epoch", "address", "amount"]


@admin.register(models.Escrow)
class EscrowAdmin(ReadOnly):
    list_display = ["job_id", "status", "budget", "spent", "refunded"]
    list_filter = ["status"]


@admin.register(models.ConsumerWallet)
class ConsumerWalletAdmin(ReadOnly):
    list_display = ["address", "account"]
    exclude = ["sealed_key"]


@admin.register(models.Deployment)
class DeploymentAdmin(ReadOnly):
    list_display = ["name", "chain_id", "address", "block"]


@admin.register(models.Signer)
class SignerAdmin(ReadOnly):
    list_display = ["address", "chain_id", "next_nonce", "holds", "looked_at"]

    @admin.display(description="native coin")
    def holds(self, row: models.Signer) -> str:
        if row.balance is None:
            return "not a platform key"
        low = f", below {tokens(alarms.least())}: fill it up" if alarms.is_low(int(row.balance)) else ""
        return tokens(int(row.balance)) + low


@admin.register(models.Asset)
class AssetAdmin(ReadOnly):
    list_display = ["kind", "subject", "status", "state", "price", "nft", "datatoken"]
    list_filter = ["kind", "status", "state"]
    search_fields = ["subject", "nft", "datatoken"]
    actions = ["describe"]

    @admin.action(description="Send the documents again where they changed")
    def describe(self, request: HttpRequest, queryset: QuerySet[models.Asset]) -> None:
        sent = sum(assets.describe(asset) for asset in queryset.exclude(nft=""))
        self.message_user(request, f"{sent} documents are on their way; the others are as they should be.")


@admin.register(models.AssetOrder)
class AssetOrderAdmin(ReadOnly):
    list_display = ["asset", "wallet", "status", "consumed", "valid_until", "order_id"]
    list_filter = ["status", "consumed"]


@admin.register(models.ModelOffer)
class ModelOfferAdmin(ReadOnly):
    list_display = ["job_id", "status", "price", "share_ppm"]
    list_filter = ["status"]


@admin.register(models.FundsMovement)
class FundsMovementAdmin(ReadOnly):
    list_display = ["kind", "wallet", "address", "amount", "status", "reason"]
    list_filter = ["kind", "status"]


@admin.register(models.ModelPurchase)
class ModelPurchaseAdmin(ReadOnly):
    list_display = ["offer", "buyer", "status", "price", "to_individuals", "epoch"]
    list_filter = ["status"]
