"""Answers to notices. The wallet decides by itself; this only lets the owner see, in steps, how many stay."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from collectives.errors import CollectiveError
from collectives.models import Admission, NoticeAnswer, Subscription
from collectives.terms.envelope import SignedDocument
from collectives.terms.errors import TermsError
from collectives.terms.permit import NoticeAnswer as AnswerDocument


def answer(*, collective_id: uuid.UUID, envelope: Mapping[str, Any]) -> None:
    """Keep the latest choice of one subscription; it may change any time.

    Raises:
        CollectiveError: malformed, wrong key, unknown subscription or notice.
    """
    try:
        signed = SignedDocument.from_json(envelope)
        document = AnswerDocument.parse(signed.open("notice-answer"))
    except TermsError as error:
        raise CollectiveError.because(error) from error
    if signed.key != document.subscription_key or document.collective_id != str(collective_id):
        raise CollectiveError("wrong_key", "An answer is signed by the subscription's own key.", status=403)
    with transaction.atomic(durable=True):
        subscription = Subscription.objects.filter(
            collective_id=collective_id, subscription_key=document.subscription_key
        ).first()
        admission = Admission.objects.filter(
            collective_id=collective_id, notice__document__notice_ref=document.notice_ref
        ).first()
        if subscription is None or admission is None:
            raise CollectiveError(
                "unknown_notice", "There is no such notice for this subscription.", status=404
            )
        NoticeAnswer.objects.update_or_create(
            subscription=subscription,
            admission=admission,
            defaults={"choice": document.choice, "document": dict(envelope)},
        )
