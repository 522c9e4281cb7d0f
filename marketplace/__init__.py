"""The Django project package, and the market's trust domain."""

from __future__ import annotations

from marketplace.celery import app as celery_app

__all__ = ["celery_app"]
