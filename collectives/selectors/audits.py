"""What may be read of privacy audits: a word for lists, the report for its page."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch
from django.utils.translation import gettext as _

from collectives.models import Algorithm, Audit


def reports_left_out(path: str = "audits") -> Prefetch[Any]:
    """Audits for `Algorithm.audit` on lists: reports are long, and a list shows only a word of them."""
    return Prefetch(path, Audit.objects.defer("report"))


def words(algorithm: Algorithm) -> str:
    """One short phrase: `audited, 92 of 100`, `not yet audited`, …"""
    found = algorithm.audit
    if found is not None and found.status == Audit.Status.ADMITTED:
        return _("audited, %(score)s of 100") % {"score": found.score}
    if found is not None:
        return _("rejected by the audit")
    return _("being audited") if algorithm.open_audit else _("not yet audited")


def standing(algorithm: Algorithm) -> Audit | None:
    """The newest audit that came to an end."""
    return (
        Audit.objects.filter(algorithm=algorithm, status__in=Audit.CONCLUDED).order_by("-finished_at").first()
    )


def report(manifest_hash: str, reader: Any) -> tuple[Algorithm, Audit] | None:
    """The newest report about an algorithm that the reader may see: an approved one, one's own, any for an administrator."""
    algorithm = Algorithm.objects.filter(manifest_hash=manifest_hash).first()
    if algorithm is None:
        return None
    own = reader.is_authenticated and (reader.is_staff or reader.pk == algorithm.author_id)
    if algorithm.status != Algorithm.Status.APPROVED and not own:
        return None
    found = standing(algorithm)
    return (algorithm, found) if found else None
