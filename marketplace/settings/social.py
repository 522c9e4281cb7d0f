"""Signing in through an OpenID Connect provider, where the site names one. Without it nothing of this is loaded.

`CSSI_OIDC_SERVER` (the issuer's address), `CSSI_OIDC_NAME` (what the button says), `CSSI_OIDC_CLIENT` and `CSSI_OIDC_SECRET`, as the
provider gave them for the address `<site>/accounts/oidc/oidc/login/callback/`. An account is found by the provider's own identifier,
never by an e-mail address that a provider merely claims.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

APPS = ["allauth.socialaccount", "allauth.socialaccount.providers.openid_connect"]


def of(env: Any, apps: list[str], policy: Mapping[str, Any]) -> dict[str, Any]:
    """Settings to lay over the others; {} where no provider is named. `policy` is the site's `CONTENT_SECURITY_POLICY`.

    Raises:
        ImproperlyConfigured: a part is missing, or the provider is not reached by https.
    """
    server = env.str("CSSI_OIDC_SERVER", default="")
    if not server:
        return {}
    parts = urlsplit(server)
    if parts.scheme != "https" or not parts.netloc:
        raise ImproperlyConfigured("CSSI_OIDC_SERVER is the provider's address and begins with https://.")
    provider = {
        "provider_id": "oidc",
        "name": env.str("CSSI_OIDC_NAME"),
        "client_id": env.str("CSSI_OIDC_CLIENT"),
        "secret": env.str("CSSI_OIDC_SECRET"),
        "settings": {"server_url": server},
    }
    directives = policy["DIRECTIVES"]
    # The form that begins a log-in is answered by a redirect to the provider, which the policy would stop.
    forms = [*directives["form-action"], f"https://{parts.netloc}"]
    return {
        "INSTALLED_APPS": [*apps, *APPS],
        "SOCIALACCOUNT_PROVIDERS": {"openid_connect": {"APPS": [provider]}},
        "SOCIALACCOUNT_EMAIL_AUTHENTICATION": False,
        "SOCIALACCOUNT_EMAIL_VERIFICATION": "mandatory",
        "CONTENT_SECURITY_POLICY": {**policy, "DIRECTIVES": {**directives, "form-action": forms}},
    }
