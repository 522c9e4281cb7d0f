"""The Celery application: background work of every domain, each in its own tasks module."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings.local")

app = Celery("compute_to_ssi")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
