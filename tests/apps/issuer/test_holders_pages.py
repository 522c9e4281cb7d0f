"""Credentials on the holder's own pages: received from a real desk, checked, shown revoked, deleted; never a value in the list."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import cache

from attestation.desk import services
from attestation.desk.models import Issuer
from attestation.desk.views import offer_link
from tests.apps.issuer.test_presence import FIELD, PERSON, attest, desk, with_wallet
from wallets.agent import local_credentials
from wallets.agent.agent import WalletAgent
from wallets.agent.errors import BadData, NotFound, Unreachable

__all__ = ["desk", "with_wallet"]  # the fixtures


@pytest.mark.django_db(transaction=True, databases=["default", "issuer"])
def test_a_credential_on_the_pages(desk: Issuer, with_wallet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    offer = attest(desk, {FIELD: PERSON[FIELD]})

    def act(verb: str, **body: Any) -> Any:
        async def work(agent: WalletAgent) -> Any:
            holder: Any = SimpleNamespace(agent=agent, now=agent.now)
            view = {**local_credentials.READS, **local_credentials.ACTS}[verb]
            return await view(holder, body)

        return with_wallet(work)

    assert act("credentials") == []
    with pytest.raises(BadData, match="link"):
        act("receive-credential")
    got = act("receive-credential", link=offer_link(offer))
    assert (got["added"], got["replaced"], got["told"]) == ([FIELD], [], {})
    (shown,) = act("credentials")
    assert (shown["state"], shown["fields"], shown["issuer"]) == ("good", [FIELD], desk.did)
    assert "record" not in json.dumps(shown)

    # a list nobody can read changes nothing: not the state, and not when it was last checked
    checked = shown["checked"]

    async def silent(*_: Any, **__: Any) -> Any:
        raise Unreachable("No answer.")

    with monkeypatch.context() as patched:
        patched.setattr("wallets.agent.transport.Transport.request", silent)
        patched.setattr("time.time", lambda: checked + 50)
        (later,) = act("check-credentials")
    assert (later["state"], later["checked"]) == ("good", checked)

    services.revoke(credential=offer, reason="typo")
    cache.clear()
    (revoked,) = act("check-credentials")
    assert revoked["state"] == "revoked"
    assert act("restate") == {"told": {}}
    act("delete-credential", name=shown["name"])
    assert act("credentials") == []
    with pytest.raises(NotFound):
        act("delete-credential", name=shown["name"])
