"""What the distributor counts for whoever watches it: numbers of sockets, rounds and waiting mail, nothing of a wallet."""

from __future__ import annotations

from collections.abc import Iterator

from wallets.distributor import config
from wallets.distributor.models import Job, Mail, Presence, Round
from wallets.distributor.services.presence import OLDEST


def samples() -> Iterator[tuple[str, str, dict[str, str], float]]:
    here = Presence.objects.filter(connected=True, last_seen__gte=config.now() - OLDEST)
    yield "distributor_wallets_connected", "wallets with a socket", {}, here.count()
    waiting = Mail.objects.filter(state=Mail.State.WAITING).count()
    yield "distributor_mail_waiting", "offers and letters that no wallet has fetched", {}, waiting
    for state in Job.State.values:
        yield "distributor_jobs", "jobs by state", {"state": state}, Job.objects.filter(state=state).count()
    for state in Round.State.values:
        yield (
            "distributor_rounds",
            "rounds by state",
            {"state": state},
            Round.objects.filter(state=state).count(),
        )
