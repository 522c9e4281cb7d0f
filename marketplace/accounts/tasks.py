"""Background work about accounts."""

from __future__ import annotations

from celery import shared_task

from marketplace.accounts import erasing


@shared_task(name="accounts.finish_erasures", ignore_result=True)
def finish_erasures() -> None:
    erasing.finish_erasures()
