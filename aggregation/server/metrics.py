"""What the aggregator counts for whoever watches it: numbers of rounds, sockets and visits, nothing of a wallet."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count

from aggregation.server import config
from aggregation.server.models import Epoch, Exclusion, MaskedInput, Participant, Round, SigningRequest, Visit
from aggregation.server.services import exclusions
from aggregation.server.states import OVER, Step

_OVER = [step.value for step in OVER]


def samples() -> Iterator[tuple[str, str, dict[str, str], float]]:
    steps = dict(Round.objects.values_list("step").annotate(Count("pk")))
    for step in Step:
        yield "aggregator_rounds", "rounds by step", {"step": step.value}, steps.get(step.value, 0)
    running = Round.objects.exclude(step__in=_OVER)
    late = [config.now() - deadline for deadline in running.values_list("deadline", flat=True)]
    yield (
        "aggregator_round_overdue_seconds",
        "how far the latest round is past its phase",
        {},
        max(late, default=0),
    )
    seated = Participant.objects.exclude(hub="").exclude(round__step__in=_OVER).count()
    yield "aggregator_wallets_in_rounds", "wallets with a socket in a running round", {}, seated
    yield "aggregator_masked_inputs", "masked inputs not yet added up", {}, MaskedInput.objects.count()
    waiting = SigningRequest.objects.filter(signature=None).exclude(round__step__in=_OVER).count()
    yield "aggregator_unsigned_lists", "lists that wait for the distributor's signature", {}, waiting
    yield (
        "aggregator_unstated_visits",
        "visits of the open epoch",
        {},
        Visit.objects.filter(epoch=None).count(),
    )
    for state in Exclusion.State.values:
        yield (
            "aggregator_exclusions",
            "wallets found in too many buckets that stand out, by what was decided",
            {"state": state},
            Exclusion.objects.filter(state=state).count(),
        )
    yield "aggregator_appeals", "appeals that wait for an administrator", {}, exclusions.appeals_waiting()
    for state in Epoch.State.values:
        yield (
            "aggregator_epochs",
            "epochs by state",
            {"state": state},
            Epoch.objects.filter(state=state).count(),
        )
