"""What a page gives to a wallet: the link that leads it to a collective, also as a drawing."""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

from django import template
from django.utils.safestring import SafeString, mark_safe

from marketplace.individuals.qr import drawn
from marketplace.individuals.server_description import subscription_link

register = template.Library()


@register.simple_tag
def wallet_link(collective_id: UUID) -> str:
    """`cssi://subscribe?…` of a collective on this server."""
    return subscription_link(collective_id)


@register.simple_tag
def qr_code(link: str) -> SafeString:
    """A link that is no secret, drawn."""
    return _kept(link)


@lru_cache(maxsize=256)
def _kept(link: str) -> SafeString:
    return mark_safe(drawn(link))  # noqa: S308 - lines and numbers only: the text is in the drawing as dots
