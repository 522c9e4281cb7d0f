"""`manage.py seed_demo`: demo log-ins and a collective to look at; prints what to type."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from marketplace.demo import seed


class Command(BaseCommand):
    help = "Make demo log-ins for every role, a demo collective and funds for the demo consumer (development only)."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            logins = seed.seed_demo_accounts()
        except seed.NotForProduction as error:
            raise CommandError(str(error)) from error
        seed.seed_demo_collective()
        funded = seed.seed_demo_funds()
        self.stdout.write("\nDemo log-ins (roles with their pages):")
        for login in logins:
            self.stdout.write(f"  {login.email:26} {login.password}")
        if not funded:
            self.stdout.write(
                "  (the consumer has no funds yet: the chain is not there; use Funds → Add funds later)"
            )
