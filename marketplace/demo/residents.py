"""People who live at a site with demo data: generated records in real wallets, so that an order can run and be watched.

They are hosted on this machine by the same program that anybody could run to keep wallets (`python -m wallets.host`), and are
labelled as generated wherever they can be seen. They stay in the state folder: the next start finds them there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.contrib.auth.hashers import make_password

from collectives.models import Collective
from marketplace.accounts.models import Account, Role, RoleGrant
from marketplace.demo import cast
from marketplace.demo.hosts import HostError, HostProcess, Hosts
from marketplace.demo.job_performance import job_performance
from marketplace.demo.stage import wait_until
from marketplace.individuals.models import SubscriptionLink

RESIDENTS = 40
"""Enough for a cohort of the demo collective's lowered minimum, with some to spare."""
VISITS_PER_DAY = 1_000


class Residents:
    """One host process and its wallets; `stop` ends it and loses nothing."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._folder = Path(settings.VAR_DIR) / "residents"
        self._host: HostProcess | None = None

    def start(self, collective: Collective, number: int = RESIDENTS) -> None:
        """Start the host; on the first start, make the wallets, pair them and subscribe them to `collective`."""
        arguments = ["--server", settings.SITE_URL, "--rule", "confirmed-on-web", "--slots", "1"]
        arguments += ["--visits-per-day", str(VISITS_PER_DAY), "--allow-development"]
        self._host = HostProcess(
            directory=self._folder, arguments=arguments, log=Path(settings.LOG_DIR) / "residents.log"
        )
        try:
            self._host.wait_ready()
            if self._moved_in():
                self._host.call("run")
            else:
                self._move_in(Hosts([self._host]), collective, number)
        except (HostError, TimeoutError) as error:
            self._say(f"no residents: {error}")
            return
        self._say(f"{self._subscribed(collective)} residents (generated people) have their wallets connected")

    def stop(self) -> None:
        if self._host is not None:
            self._host.stop()

    def _moved_in(self) -> bool:
        return any((self._folder / "wallets").glob("*"))

    def _move_in(self, hosts: Hosts, collective: Collective, number: int) -> None:
        people = job_performance(people=number + number // 4 + 1, seed=1).train[:number]
        hosts.create(people, self._folder)
        individuals = _accounts(number)
        cast.pair(individuals, hosts, collective, lambda _: None)
        wait_until(
            lambda: self._subscribed(collective) >= number, seconds=120, what="the residents to subscribe"
        )

    def _subscribed(self, collective: Collective) -> int:
        links = SubscriptionLink.objects.filter(collective_id=collective.pk)
        return links.filter(
            account__email__startswith="resident-", status=SubscriptionLink.Status.SUBSCRIBED
        ).count()


def _accounts(number: int) -> list[Account]:
    """Accounts nobody can sign in to."""
    grant, _ = RoleGrant.objects.get_or_create(role=Role.INDIVIDUAL)
    made = []
    for n in range(number):
        email = f"resident-{n:03d}@demo.example"
        account, _ = Account.objects.get_or_create(email=email, defaults={"password": make_password(None)})
        account.roles.add(grant)
        made.append(account)
    return made
