"""Every page by name, who may open it, and whether it belongs to somebody. The walk of all pages, here and in the browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import reverse

from attestation.desk.models import Credential
from collectives.models import Collective
from marketplace.individuals.models import PairingCode
from tests.apps.cast import World
from tests.apps.pages import guests

ENTRY = "account_login"
FILES = ("checkpoint", "data-tool")
"""What is saved and not shown: walked for who may have it, not for how it looks."""
SHARED = ("home", "catalogue", "collective", "algorithm-list", "algorithm", "account", "models")
"""Pages that show each role something else."""
ROLES = ("", "ivo", "carla", "alice", "aron", "erin", "ada")
"""Somebody of each kind: signed out, individual, consumer, owner, author, issuer, administrator."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """`who` may open it ("" = everybody); `owned`: another person with the same role gets 404; `enter`: how `who` comes to it, given the world
    and the name; `door`: the name of where it sends the signed-out."""

    name: str
    url: str
    who: str = ""
    owned: bool = False
    enter: Callable[[World, str], Client] = World.client
    door: str = ENTRY

    def client(self, world: World) -> Client:
        return self.enter(world, self.who)


def page(name: str, *args: object, **more: Any) -> Page:
    return Page(name=name, url=reverse(name, args=args), **more)


def pages(world: World) -> list[Page]:
    """The first call makes what only some pages need (`guests`), in the databases `default` and `issuer`."""
    guests.invite(world)
    collective, job = world.collective.pk, world.order.job_id
    pairing = PairingCode.objects.get(account=world.people["ivo"])
    other = Collective.objects.get(name="Walk more")
    order = reverse("order", args=[collective])
    chosen = f"{order}?algorithm={world.algorithm.manifest_hash}"

    return [
        page("home"),
        page("how"),
        page("catalogue"),
        page("collective", collective),
        page("data-tool", collective),
        page("algorithm-list"),
        page("algorithm", world.algorithm.manifest_hash),
        page("account_login"),
        page("account_signup"),
        page("account_reset_password"),
        page("audit", world.algorithm.manifest_hash),
        page("account", who="ivo"),
        page("account-delete", who="ivo"),
        Page(name="account-tokens", url=reverse("api-tokens"), who="ivo"),
        page("account_email", who="ivo"),
        page("account_change_password", who="ivo"),
        page("mfa_index", who="ivo"),
        page("wallet", who="ivo"),
        page("wallet-status", world.wallet.pk, who="ivo", owned=True),
        page("pair", who="ivo"),
        page("pairing", pairing.pk, who="ivo", owned=True),
        page("subscribe", other.pk, who="ivo"),
        page("subscription", world.link.pk, who="ivo", owned=True),
        page("notice", world.link.pk, world.admission.pk, who="ivo", owned=True),
        page("jobs", who="carla"),
        page("order", collective, who="carla"),
        Page(name="order-limits", url=chosen, who="carla"),
        Page(name="order-review", url=f"{chosen}&budget=1000&rounds=5", who="carla"),
        page("job", job, who="carla", owned=True),
        page("result", job, who="carla", owned=True),
        page("compare", job, who="carla", owned=True),
        page("checkpoint", job, 0, who="carla", owned=True),
        page("funds", who="carla"),
        page("models", who="carla"),
        page("console", who="alice"),
        page("collective-register", who="alice"),
        page("collective-console", collective, who="alice", owned=True),
        page("collective-terms", collective, who="alice", owned=True),
        page("collective-propose", collective, who="alice", owned=True),
        page("collective-announce", collective, who="alice", owned=True),
        page("collective-rounds", collective, who="alice", owned=True),
        page("collective-orders", collective, who="alice", owned=True),
        page("collective-settlement", collective, who="alice", owned=True),
        page("algorithms", who="aron"),
        page("algorithm-submit", who="aron"),
        page("algorithm-ready-made", who="aron"),
        page("algorithm-ready-made-for", collective, who="aron"),
        *_accounts(world),
        *_issuer(),
        Page(name="administration", url=reverse("admin:index"), who="ada", door="admin:login"),
        page("overview", who="ada", door="admin:login"),
    ]


def for_each_role(world: World) -> list[Page]:
    """The shared pages once more, as each of those for whom `pages` does not open them."""
    found = [page for page in pages(world) if page.name in SHARED]
    return [
        replace(page, name=f"{page.name} as {who or 'nobody'}", who=who)
        for page in found
        for who in ROLES
        if who != page.who and (who or not page.who)
    ]


def _accounts(world: World) -> list[Page]:
    """allauth's own pages, in the state in which each of them is a page."""
    unconfirmed = EmailAddress.objects.get(user=world.people["nora"])
    key = Authenticator.objects.get(user=world.people["mia"], type=Authenticator.Type.WEBAUTHN).pk

    asked: dict[str, Any] = {"who": "mia", "enter": guests.just_asked}
    return [
        page("account_inactive"),
        page("account_email_verification_sent"),
        page("account_confirm_email", EmailConfirmationHMAC(unconfirmed).key),
        page("account_reset_password_done"),
        Page(
            name="account_reset_password_from_key",
            url=guests.reset_address(world),
            enter=guests.with_letter,
        ),
        page("account_reset_password_from_key_done"),
        page("account_logout", who="ivo", door="home"),
        page("account_reauthenticate", who="ivo"),
        page("account_set_password", who="nora"),
        page("mfa_authenticate", who="mia", enter=guests.half_way),
        page("mfa_reauthenticate", who="mia"),
        page("mfa_reauthenticate_webauthn", who="mia"),
        page("mfa_activate_totp", who="ivo", enter=guests.just_asked),
        page("mfa_deactivate_totp", **asked),
        page("mfa_view_recovery_codes", **asked),
        page("mfa_generate_recovery_codes", **asked),
        page("mfa_list_webauthn", who="mia"),
        page("mfa_add_webauthn", **asked),
        page("mfa_edit_webauthn", key, **asked),
        page("mfa_remove_webauthn", key, **asked),
    ]


def _issuer() -> list[Page]:
    offer = Credential.objects.get(label="no. 17")
    desk = offer.issuer_id

    return [
        page("issuer-desks", who="erin"),
        page("issuer-desk", desk, who="erin", owned=True),
        page("issuer-attest", desk, who="erin", owned=True),
        page("issuer-credential", desk, offer.pk, who="erin", owned=True),
    ]
