"""Mounted at `issuer/`.

The desk's pages are for somebody who is signed in, so they exist where the same process serves the site; a process of the issuer
alone answers wallets and collectives, and its owner uses `manage.py issuer`.
"""

from __future__ import annotations

from django.conf import settings
from django.urls import path

from attestation.desk import views

urlpatterns = [
    path("collect", views.collect, name="issuer-collect"),
    path("collect-unlinkable", views.collect_unlinkable, name="issuer-collect-unlinkable"),
    path("received", views.received, name="issuer-received"),
    path("<uuid:issuer_id>/status", views.status, name="issuer-status"),
    path("<uuid:issuer_id>/registry/<int:number>", views.revocations, name="issuer-revocations"),
    path("<uuid:issuer_id>/registry/<int:number>/tails", views.tails, name="issuer-tails"),
]
if "web" in settings.ROLES:
    urlpatterns += [
        path("", views.desks, name="issuer-desks"),
        path("form/<str:name>", views.form_script, name="issuer-form"),
        path("<uuid:issuer_id>/", views.desk, name="issuer-desk"),
        path("<uuid:issuer_id>/unlinkable/", views.unlinkable_keys, name="issuer-unlinkable"),
        path("<uuid:issuer_id>/attest/", views.attest, name="issuer-attest"),
        path("<uuid:issuer_id>/<uuid:credential_id>/", views.credential, name="issuer-credential"),
        path("<uuid:issuer_id>/<uuid:credential_id>/revoke/", views.revoke, name="issuer-revoke"),
    ]
