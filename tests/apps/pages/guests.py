"""People of whom only some pages know, in which state each comes to them, and the things they need. None of them holds a role.

Mia signs in with a second factor. Nora came by another provider, so she has no password, and a new address of hers is not confirmed. Otto forgot
his password and never signs in. Erin keeps an issuer's desk. Their things go into the databases `default` and `issuer`.
"""

from __future__ import annotations

import os
import time
from hashlib import sha256
from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.internal.flows import login
from allauth.account.models import EmailAddress
from allauth.account.utils import user_pk_to_url_str
from allauth.account.views import INTERNAL_RESET_SESSION_KEY
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.mfa.webauthn.internal.auth import WebAuthn
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client
from django.urls import reverse
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

from attestation.desk import services as desk
from marketplace.accounts.models import Account
from marketplace.individuals.services import start_pairing
from tests.apps import cast
from tests.apps.audits.test_audits import concluded
from tests.apps.cast import PASSWORD, World

GUESTS = ("mia", "nora", "otto", "erin")
HOST = "127.0.0.1"


def invite(world: World) -> None:
    """Once for each world."""
    if "mia" in world.people:
        return
    for name in GUESTS:
        password = None if name == "nora" else PASSWORD
        world.people[name] = Account.objects.create_user(f"{name}@people.example", password)
    mia, nora, erin = (world.people[name] for name in ("mia", "nora", "erin"))
    TOTP.activate(mia, generate_totp_secret())
    RecoveryCodes.activate(mia)
    WebAuthn.add(mia, "Key on the ring", passkey())
    ivo = world.people["ivo"]
    EmailAddress.objects.create(user=ivo, email=ivo.email, verified=True, primary=True)
    EmailAddress.objects.create(user=nora, email="nora@new.example", verified=False)
    opened = desk.open_desk(account=str(erin.pk), name="Acme HR")
    desk.attest(issuer=opened, label="no. 17", requirement=cast.REQUIREMENT, values={"age": 40}, days=30)
    audit = concluded(world.algorithm, admitted=True)
    audit.report["report_hash"] = "ef" * 32  # the cast's wallet has the example's for a key
    audit.save()
    cast.register(world.people["alice"], "Walk more")
    start_pairing(account=ivo)


def passkey() -> dict[str, Any]:
    """What a browser sends when a passkey is made: a key that exists, attested by nobody."""
    flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV | AuthenticatorData.FLAG.AT
    key = ES256.from_cryptography_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    ident = os.urandom(16)
    made = AttestedCredentialData.create(bytes(16), ident, key)
    signed = AuthenticatorData.create(sha256(HOST.encode()).digest(), flags, 0, made)
    said = CollectedClientData.create("webauthn.create", os.urandom(16), f"http://{HOST}")
    return {
        "type": "public-key",
        "id": websafe_encode(ident),
        "rawId": websafe_encode(ident),
        "response": {
            "clientDataJSON": websafe_encode(said),
            "attestationObject": websafe_encode(AttestationObject.create("none", signed, {})),
        },
        "clientExtensionResults": {"credProps": {"rk": True}},
    }


def just_asked(world: World, name: str) -> Client:
    """Signed in, and the password was asked for again a moment ago."""
    client = world.client(name)
    session = client.session
    account = world.people[name]
    session[login.AUTHENTICATION_METHODS_SESSION_KEY] = [
        {"method": "password", "at": time.time(), "reauthenticated": True}
    ]
    session[login._AUTHENTICATION_METHODS_USER_SESSION_KEY] = login.user_id_to_str(account)
    session.save()
    return client


def half_way(world: World, name: str) -> Client:
    """The password was right; the second factor is still to come."""
    client = Client()
    answer = client.post(reverse("account_login"), {"login": world.people[name].email, "password": PASSWORD})
    assert answer.url == reverse("mfa_authenticate")
    return client


def with_letter(world: World, name: str) -> Client:
    """Signed out, has just followed the link of the letter for a forgotten password."""
    client = Client()
    session = client.session
    session[INTERNAL_RESET_SESSION_KEY] = default_token_generator.make_token(world.people["otto"])
    session.save()
    return client


def reset_address(world: World) -> str:
    """Where the link of that letter leads; the token itself waits in the session."""
    number = user_pk_to_url_str(world.people["otto"])
    return reverse("account_reset_password_from_key", kwargs={"uidb36": number, "key": "set-password"})
