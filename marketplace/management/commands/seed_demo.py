"""`manage.py seed_demo`: demo log-ins and a collective to look at; prints what to type."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from marketplace.demo import seed

PAGES = {
    "individual": "My wallet",
    "owner": "My collectives",
    "consumer": "Jobs",
    "author": "My algorithms",
    "admin": "Administration (/admin/), and all of the above",
}


class Command(BaseCommand):
    help = "Make demo log-ins for every role, a demo collective and funds for the demo consumer (development only)."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            logins = seed.seed_demo_accounts()
        except seed.NotForProduction as error:
            raise CommandError(str(error)) from error
        seed.seed_demo_collective()
        funded = seed.seed_demo_funds()
        self.stdout.write("\nDemo log-ins, and the page each begins at:")
        for login in logins:
            self.stdout.write(f"  {login.email:26} {login.password}   {PAGES[login.role]}")
        if folder := getattr(settings, "EMAIL_FILE_PATH", None):
            self.stdout.write(f"  E-mails the site sends are files in {folder}")
        if not funded:
            self.stdout.write(
                "  (the consumer has no funds yet: the chain is not there; use Funds → Add funds later)"
            )
