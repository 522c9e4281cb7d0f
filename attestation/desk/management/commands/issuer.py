"""The desk on the command line: `manage.py issuer open | list | attest | revoke | sweep`."""

from __future__ import annotations

import json
from pathlib import Path
from time import sleep
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from attestation.desk import services, unlinkable
from attestation.desk.errors import DeskError
from attestation.desk.models import Credential, Issuer
from attestation.desk.views import offer_link


class Command(BaseCommand):
    help = "Attest values for a person's wallet, and revoke them."

    def add_arguments(self, parser: CommandParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True)
        step = steps.add_parser("open", help="open a desk with a key of its own")
        step.add_argument("name")
        step.add_argument("--account", default="", help="id of the account that may use its pages")
        steps.add_parser("list", help="desks and their credentials")
        step = steps.add_parser("attest", help="attest values; prints the link for the wallet")
        step.add_argument("did", help="the desk")
        step.add_argument("--label", required=True)
        step.add_argument("--requirement", type=Path, required=True, metavar="FILE")
        step.add_argument("--values", type=Path, required=True, metavar="FILE")
        step.add_argument("--days", type=int, default=365)
        step = steps.add_parser("revoke", help="revoke a credential")
        step.add_argument("credential")
        step.add_argument("--reason", default="")
        step = steps.add_parser(
            "unlinkable", help="make keys for proofs that link nothing (takes up to a minute)"
        )
        step.add_argument("did", help="the desk")
        step = steps.add_parser("sweep", help="erase the values of offers that have ended")
        step.add_argument(
            "--every",
            type=int,
            default=0,
            metavar="SECONDS",
            help="stay and do it again after so long (default: once)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['step']}")(options)
        except DeskError as error:
            raise CommandError(str(error)) from None

    def _open(self, options: dict[str, Any]) -> None:
        made = services.open_desk(account=options["account"], name=options["name"])
        self.stdout.write(f"{made.name}: {made.did}")

    def _list(self, options: dict[str, Any]) -> None:
        for issuer in Issuer.objects.all():
            self.stdout.write(f"{issuer.name}: {issuer.did}")
            for found in issuer.credentials.all():
                self.stdout.write(f"  {found.pk}  {found.status:8}  {found.label}  {', '.join(found.fields)}")

    def _unlinkable(self, options: dict[str, Any]) -> None:
        unlinkable.make_keys(_desk(options["did"]))
        self.stdout.write("The desk can attest for proofs that link nothing.")

    def _attest(self, options: dict[str, Any]) -> None:
        made = services.attest(
            issuer=_desk(options["did"]),
            label=options["label"],
            requirement=_object(options["requirement"]),
            values=_object(options["values"]),
            days=options["days"],
        )
        self.stdout.write(offer_link(made))

    def _revoke(self, options: dict[str, Any]) -> None:
        try:
            found = Credential.objects.filter(pk=options["credential"]).first()
        except ValidationError:
            found = None
        if found is None:
            raise CommandError("There is no such credential. `issuer list` names them.")
        services.revoke(credential=found, reason=options["reason"])
        self.stdout.write("Revoked.")

    def _sweep(self, options: dict[str, Any]) -> None:
        while True:
            erased = services.sweep()
            if erased or not options["every"]:
                self.stdout.write(f"{erased} offers erased.")
            if not options["every"]:
                return
            connections.close_all()  # none is held through the pause: a database may be replaced meanwhile
            sleep(options["every"])


def _desk(did: str) -> Issuer:
    found = Issuer.objects.filter(did=did).first()
    if found is None:
        raise CommandError("There is no such desk. `issuer list` names them.")
    return found


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise CommandError(f"{path.name} cannot be read as JSON.") from None
    if not isinstance(found, dict):
        raise CommandError(f"{path.name} must hold one JSON object.")
    return found
