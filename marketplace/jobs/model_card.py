"""A model card made from facts: what was learned, from which fields, in how many rounds of how many wallets, with whose consent.

Nothing in it is typed by anybody after the order; each line is read from the job, its rounds, the terms and the manifest. The
form follows the idea of Mitchell et al., "Model Cards for Model Reporting" (2019), for what a platform can know by itself.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from collectives import selectors as collectives
from collectives.example_record import label
from collectives.models import Job, Round, TermsVersion
from collectives.selectors import audits
from collectives.selectors.findings import findings
from collectives.services import privacy
from collectives.services.plan import JobPlan
from collectives.terms.description import tokens
from marketplace.jobs import options
from marketplace.jobs.models import Order
from marketplace.jobs.plateau import Plateau


def build(order: Order) -> dict[str, Any]:
    """The card as plain values; hashes as hex, money as decimal strings of base units, times as ISO 8601."""
    job = collectives.job(order.job_id)
    assert job is not None
    terms = collectives.terms_at(job.collective_id, job.created_at)
    document = terms.document if terms else {}
    posted = list(job.rounds.filter(status=Round.Status.POSTED).order_by("number"))
    newest = collectives.checkpoints(order.job_id).order_by("-number").first()
    manifest = job.algorithm.manifest
    return {
        "job_id": str(job.pk),
        "status": job.status,
        "name": job.algorithm.name,
        "purpose": manifest["purpose"],
        "collective": {"id": str(job.collective_id), "name": document.get("name", job.collective.name)},
        "not_for": document.get("not_for", ""),
        "reads": _fields(document, manifest["inputs"]),
        "predicts": _fields(document, manifest.get("target", [])),
        "algorithm": {
            "manifest_hash": job.algorithm.manifest_hash,
            "parameters": job.algorithm.parameters,
            "loss": manifest.get("loss", ""),
            "sends": manifest["output"]["kind"],
            "audit": audits.words(job.algorithm),
        },
        "training": _training(order, job, posted),
        "privacy": {
            **_privacy(job, document),
            "bucket_min": document.get("bucket_min"),
            "release_min": document.get("release_min"),
        },
        "consent": _consent(terms),
        "money": {
            "rate": str(int(order.rate)),
            "visits_paid": job.visits_earned,
            "spent": str(int(order.rate) * job.visits_earned),
        },
        "findings": findings(manifest, newest),
        "metrics": [
            {"checkpoint": m.checkpoint, "name": m.name, "value": m.value} for m in order.metrics.all()
        ],
        "checkpoint": {"number": newest.number, "hash": newest.hash} if newest else None,
        "began": _moment(posted[0].started_at) if posted else None,
        "ended": _moment(posted[-1].ended_at) if posted else None,
    }


def _training(order: Order, job: Job, posted: list[Round]) -> dict[str, Any]:
    plan, plateau = JobPlan.from_json(job.plan), Plateau.of(order)
    return {
        "rounds": len(posted),
        "rounds_at_most": job.max_rounds,
        "cohort_aimed_at": plan.cohort,
        "wallets_in_sums": cohort_sizes(posted),
        "dropouts": sum(max(0, row.joined - row.survivors) for row in posted),
        "optimiser": plan.optimiser,
        "learning_rate_micro": plan.learning_rate_micro,
        "clip_quantile_ppm": plan.clip_quantile_ppm,
        "poisson": plan.poisson,
        "plateau": asdict(plateau) if plateau else None,
    }


def choices(card: dict[str, Any], *, every: bool = False) -> list[tuple[str, str]]:
    """(what, how it was ordered) of a card, for people."""
    training = card["training"]
    return options.lines(
        training["clip_quantile_ppm"],
        training["poisson"],
        Plateau(**training["plateau"]) if training["plateau"] else None,
        every=every,
    )


def _privacy(job: Job, document: dict[str, Any]) -> dict[str, Any]:
    """Both epsilons as numbers, None where the terms claim none, the one sentence that says so, and the command that computes them again."""
    if not document:
        return {"epsilon": None, "sentence": "", "command": "", "rule": ""}
    stated = privacy.statement_of(job, document)
    numbers = {"consumer": stated.consumer, "operator": stated.operator} if stated else None
    return {
        "epsilon": numbers and numbers | {"delta": privacy.DELTA, "visits": privacy.visits_planned(job)},
        "sentence": privacy.promise(job, document),
        "command": privacy.command_of(job, document),
        "rule": privacy.rule_of(job, document),
    }


def _consent(terms: TermsVersion | None) -> dict[str, Any]:
    return {
        "basis": "terms signed by each wallet; notice of every algorithm; revocable at any time",
        "terms_hash": terms.hash if terms else "",
        "terms_version": terms.version if terms else None,
        "notice_seconds": terms.document["notice_seconds"] if terms else None,
    }


def _moment(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None


def cohort_sizes(posted: list[Round]) -> dict[str, int] | None:
    """Smallest, median and largest number of wallets in the sums of a model."""
    sizes = [row.survivors for row in posted]
    if not sizes:
        return None
    return {"least": min(sizes), "median": int(statistics.median(sizes)), "most": max(sizes)}


def _fields(document: dict[str, Any], names: list[str]) -> list[dict[str, str]]:
    known = document.get("requirement", {}).get("properties", {})
    return [{"name": name, "title": label(name, known.get(name, {}))} for name in names]


def last_metrics(card: dict[str, Any]) -> dict[str, float]:
    """The newest value of each metric."""
    return {m["name"]: m["value"] for m in sorted(card["metrics"], key=lambda m: m["checkpoint"])}


def compare(one: dict[str, Any], other: dict[str, Any]) -> list[dict[str, Any]]:
    """Lines `label before after same` of two cards, for people."""
    first, second = _lines(one), _lines(other)
    labels = list(dict.fromkeys([*first, *second]))
    return [
        {
            "label": label,
            "before": first.get(label, "–"),
            "after": second.get(label, "–"),
            "same": first.get(label) == second.get(label),
        }
        for label in labels
    ]


def _lines(card: dict[str, Any]) -> dict[str, str]:
    training, sizes = card["training"], card["training"]["wallets_in_sums"]
    lines = {
        _("Algorithm"): card["name"],
        _("Manifest"): card["algorithm"]["manifest_hash"][:12],
        _("Collective"): card["collective"]["name"],
        _("Terms"): _("version %(n)s") % {"n": card["consent"]["terms_version"]},
        _("Reads"): ", ".join(field["title"] for field in card["reads"]),
        _("Predicts"): ", ".join(field["title"] for field in card["predicts"]),
        _("Parameters"): f"{card['algorithm']['parameters']:,}",
        _("State"): str(Job.Status(card["status"]).label),
        _("Rounds in the model"): str(training["rounds"]),
        _("Wallets aimed at in a round"): f"{training['cohort_aimed_at']:,}",
        _("Wallets in its sums"): span(sizes),
        _("Dropouts survived"): f"{training['dropouts']:,}",
        _(
            "Learning rate of the server"
        ): f"{training['learning_rate_micro'] / 1e6:g} ({training['optimiser']})",
        **dict(choices(card, every=True)),
        _("Visits paid"): f"{card['money']['visits_paid']:,}",
        _("Spent"): tokens(int(card["money"]["spent"])),
    }
    for name, value in sorted(last_metrics(card).items()):
        lines[_("Last %(metric)s") % {"metric": name}] = f"{value:g}"
    return lines


def span(sizes: dict[str, int] | None) -> str:
    """'103 to 127, median 118'."""
    if sizes is None:
        return "–"
    if sizes["least"] == sizes["most"]:
        return f"{sizes['most']:,}"
    return _("%(least)s to %(most)s, median %(median)s") % {k: f"{v:,}" for k, v in sizes.items()}
