"""What the live page shows, as plain values for `templates/jobs/_live.html` and for the API.

Context: `order job plan status sentence reason suspended steps (list of {name, state: done|now|next}) current (round or None) enough
deadline budget {total, earned, reserved, left in visits; spent, rest in tokens} privacy (Spent, or None where no epsilon is claimed) rounds (closed, newest first) chart {labels,
series: [{name, values}]} options (pairs of what and how it was chosen) evaluations (pairs of a checkpoint's number and what wallets said) events (newest first) can_stop can_pause can_resume can_fund`.
"""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from collectives import selectors
from collectives.models import Collective, Job, Round
from collectives.models.jobs import ENDED, LIVE
from collectives.selectors.privacy_spent import privacy_spent
from collectives.terms.description import tokens
from marketplace.jobs import options
from marketplace.jobs.models import Order
from marketplace.jobs.plateau import Plateau, heard
from marketplace.reasons import said

PHASES = {
    "inviting": lazy("inviting"),
    "advertise": lazy("training"),
    "share_keys": lazy("sharing keys"),
    "masked_input": lazy("masked inputs"),
    "consistency": lazy("agreeing"),
    "unmask": lazy("unmasking"),
}
"""What the stepper calls the phases of a round."""
S = Job.Status


def context(order: Order) -> dict[str, Any]:
    live = selectors.job_live(order.job_id)
    assert live is not None
    job, plan = live["job"], live["plan"]
    current: Round | None = live["current"]
    rate = int(order.rate)
    suspended = _suspended(job)
    return {
        "order": order,
        "job": job,
        "plan": plan,
        "status": job.get_status_display(),
        "sentence": sentence(job, current, live["rounds_done"]),
        "reason": job.reason,
        "suspended": suspended,
        "steps": steps(current),
        "current": current,
        "enough": bool(current and current.enough),
        "deadline": current.deadline if current else None,
        "budget": visits(job)
        | {
            "spent": tokens(job.visits_earned * rate),
            "rest": tokens(int(order.budget) - job.visits_earned * rate),
        },
        "privacy": privacy_spent(job, _terms(job), live["rounds_done"]),
        "rounds": list(reversed(live["rounds"])),
        "rounds_done": live["rounds_done"],
        "chart": chart(order),
        "options": options.lines(plan.clip_quantile_ppm, plan.poisson, Plateau.of(order)),
        "evaluations": heard(order) if order.judge_hash else [],
        "events": live["transitions"],
        "can_fund": job.status == S.VALIDATED and not suspended,
        "can_stop": job.status in LIVE | {S.APPROVAL},
        "can_pause": job.status == S.RUNNING and not job.pause_requested,
        "can_resume": job.status == S.PAUSED,
    }


def _terms(job: Job) -> dict[str, Any]:
    """The terms that were on offer when the job was ordered."""
    found = selectors.terms_at(job.collective_id, job.created_at)
    assert found is not None  # a collective is never without terms
    return dict(found.document)


def visits(job: Job) -> dict[str, int]:
    """A job's visits: in the budget, earned, promised to the running round, left, and percent earned."""
    total, earned, reserved = job.visits_budget, job.visits_earned, job.visits_reserved
    return {
        "total": total,
        "earned": earned,
        "reserved": reserved,
        "left": total - earned - reserved,
        "percent": round(100 * earned / total) if total else 0,
    }


def _suspended(job: Job) -> str:
    """Why the collective of an open job is suspended; empty where nothing holds the job up."""
    over = job.status in ENDED or job.status in (S.SETTLED, S.RETURNED)
    return "" if over or job.collective.status == Collective.Status.ACTIVE else job.collective.status_reason


def sentence(job: Job, current: Round | None, done: int) -> str:
    """One sentence that says where the job stands."""
    if job.status != S.RUNNING or current is None:
        reason = said(job.reason)
        return reason[:1].upper() + reason[1:] if reason else job.get_status_display()
    words = {
        "": _("Asking wallets to take part"),
        "advertise": _("Wallets are training"),
        "share_keys": _("Wallets exchange keys"),
        "masked_input": _("Waiting for masked inputs"),
        "consistency": _("Wallets agree on who is in the sum"),
        "unmask": _("Unmasking the sum"),
    }
    doing = words.get(current.phase, _("Working"))
    text = _("Round %(number)s of at most %(most)s. %(doing)s") % {
        "number": done + 1,
        "most": job.max_rounds,
        "doing": doing,
    }
    if current.deadline:
        left = max(0, int((current.deadline - timezone.now()).total_seconds()))
        text += _(", %(seconds)s seconds left at most") % {"seconds": left}
    return text + "."


def steps(current: Round | None) -> list[dict[str, str]]:
    """The phases of the open round for the stepper."""
    if current is None:
        return []
    at = current.phase if current.phase in PHASES else "inviting"
    now = list(PHASES).index(at)
    return [
        {"name": str(PHASES[name]), "state": "done" if i < now else "now" if i == now else "next"}
        for i, name in enumerate(PHASES)
    ]


def chart(order: Order) -> dict[str, Any]:
    """Metrics by checkpoint: shared labels, one series per metric name, None where not reported."""
    found: dict[str, dict[int, float]] = {}
    for metric in order.metrics.all():
        found.setdefault(metric.name, {})[metric.checkpoint] = metric.value
    labels = sorted({number for values in found.values() for number in values})
    series = [
        {"name": name, "values": [values.get(n) for n in labels]} for name, values in sorted(found.items())
    ]
    return {"labels": labels, "series": series}
