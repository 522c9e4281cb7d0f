"""A wallet that came back on another machine gets a mailbox key of its own; the old copy hears nothing more."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from marketplace.individuals import clients
from marketplace.individuals.errors import IndividualError
from marketplace.individuals.models import WalletLink
from marketplace.individuals.services.checks import check_signature, key_bytes

LABEL = b"cssi/v1/move"


def move_wallet(
    *, mailbox_key: str, new_mailbox_key: str, created: int, signature: str, new_signature: str
) -> WalletLink:
    """Both keys sign the same move. Waiting mail goes along. The same move again changes nothing, so it has no deadline.

    Raises:
        IndividualError: bad signature, unknown wallet, or the new key serves another one.
        DistributorDown: nothing was changed here; the wallet sends its letter again.
    """
    body = {
        "mailbox": key_bytes(mailbox_key),
        "new_mailbox": key_bytes(new_mailbox_key),
        "created": created,
    }
    check_signature(mailbox_key, LABEL, body, signature)
    check_signature(new_mailbox_key, LABEL, body, new_signature)
    moved = WalletLink.objects.filter(mailbox_key=new_mailbox_key).first()
    known = WalletLink.objects.filter(mailbox_key=mailbox_key, status=WalletLink.Status.ACTIVE).first()
    if known is None:
        if moved is not None:
            return moved
        raise IndividualError(
            "unknown_wallet", _("No account is paired with this wallet. Pair it again."), status=404
        )
    if moved is not None:
        raise IndividualError("paired_elsewhere", _("The new key serves another wallet."), status=409)
    clients.move_mailbox(mailbox_key, to=new_mailbox_key)
    with transaction.atomic():
        WalletLink.objects.filter(pk=known.pk).update(mailbox_key=new_mailbox_key)
    known.refresh_from_db()
    return known
