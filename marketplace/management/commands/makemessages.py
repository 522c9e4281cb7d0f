"""Django's own, which also finds texts marked with `lazy(…)`, as forms and views here call `gettext_lazy`, with `say(…)` and
`Sentence(…)`, by which the Django-free terms let a page translate, and the sentences of refusals, translated where they are told."""

from __future__ import annotations

from django.core.management.commands import makemessages

REFUSALS = ("TermsError", "CollectiveError", "OrderError", "SettlementError", "IndividualError", "DeskError")
KEYWORDS = (
    *("lazy", "say", "noop", "Sentence", "_refuse", "exactly:3", "refused_without:3"),
    *(f"{refusal}:2" for refusal in REFUSALS),
)


class Command(makemessages.Command):
    xgettext_options = [
        *makemessages.Command.xgettext_options,
        *(f"--keyword={keyword}" for keyword in KEYWORDS),
    ]
