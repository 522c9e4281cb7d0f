from __future__ import annotations

from django.apps import AppConfig


class DeskConfig(AppConfig):
    name = "attestation.desk"
    label = "issuer"
    trust_domain = "issuer"
    verbose_name = "Issuer desk"
