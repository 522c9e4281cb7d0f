"""What an order may choose beyond its limits: how the clip bound is found, who is invited, who judges the model.

The fields stand folded below the limits, each with what it does and what it costs. Which ones there are follows from the algorithm: only
what is trained has an adaptive clip and a plateau, only an evaluation is given a model to judge.
"""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from collectives import selectors as collectives
from collectives.models import Algorithm
from collectives.numbers import WholeField
from collectives.selectors import Card
from collectives.services.plan import LEAST_QUANTILE, MOST_QUANTILE
from collectives.terms.algorithm import EVALUATION, TRAINED, model_hash, parse_manifest
from marketplace.jobs.models import Order
from marketplace.jobs.plateau import MOST_EVERY, MOST_WINDOW, Plateau

PERCENT = 10_000
"""One per cent in millionths."""
MOST_JOBS = 50
"""Newest own jobs that are looked through for models to judge."""


class Options(forms.Form):
    """A part of the order's second step."""

    judged = forms.ChoiceField(
        label=lazy("Model to judge"),
        help_text=lazy("The newest checkpoint of a job of yours."),
        error_messages={
            "required": lazy("Choose the model that the evaluation judges."),
            "invalid_choice": lazy("Choose one of the listed models."),
        },
    )
    clip_share = WholeField(
        label=lazy("Percent of updates that stay whole"),
        required=False,
        min_value=LEAST_QUANTILE // PERCENT,
        max_value=MOST_QUANTILE // PERCENT,
        help_text=lazy(
            "The clip bound then follows the wallets and falls to the length that this share stays below, such as 90. Noise falls with "
            "it; longer updates are cut more. Empty: the algorithm's own bound."
        ),
    )
    poisson = forms.BooleanField(
        label=lazy("Invite each wallet by a coin of its own"),
        required=False,
        help_text=lazy(
            "Then who was visited says less, and from some thousand wallets on ε towards you and the chain is lower. Groups vary in size, so "
            "a round may take more visits than planned, and one that comes out too small is not held."
        ),
    )
    judge = forms.ChoiceField(
        label=lazy("Stop where the model gets no better, by this evaluation"),
        required=False,
        help_text=lazy(
            "Other wallets judge the model while it is trained. It saves visits that bring nothing; each evaluation is an order of its own at the "
            "same rate, paid from your funds besides the budget."
        ),
        error_messages={"invalid_choice": lazy("Choose one of the listed evaluations.")},
    )
    judge_every = WholeField(
        label=lazy("Judged after so many rounds"),
        required=False,
        min_value=1,
        max_value=MOST_EVERY,
        initial=Plateau.every,
        help_text=lazy("Empty: 5."),
    )
    judge_window = WholeField(
        label=lazy("Evaluations that are averaged"),
        required=False,
        min_value=1,
        max_value=MOST_WINDOW,
        initial=Plateau.window,
        help_text=lazy("The job stops when so many are on average no better than as many before. Empty: 3."),
    )

    FOLDED = ("clip_share", "poisson", "judge", "judge_every", "judge_window")

    def offer(self, card: Card, chosen: Any, consumer: Any) -> None:
        """Leave the fields that this algorithm has a use for. `chosen` is its manifest hash as it was entered."""
        self.algorithm = next(
            (row.algorithm for row in card.admissions if row.algorithm.manifest_hash == chosen), None
        )
        kind = kind_of(self.algorithm) if self.algorithm else ""
        gone = set()
        if kind == EVALUATION:
            self._choose("judged", models_for(self.algorithm, consumer))
            self.fields["rounds"].initial = 1
        else:
            gone |= {"judged"}
        if kind not in TRAINED:
            gone |= {"clip_share"}
        judges = judges_of(card, self.algorithm) if kind in TRAINED else []
        if judges:
            rows = [(judge.manifest_hash, judge.name) for judge in judges]
            self._choose("judge", [("", _("no, train all rounds")), *rows])
        else:
            gone |= {"judge", "judge_every", "judge_window"}
        self.no_judge = kind in TRAINED and not judges
        for name in gone:
            del self.fields[name]

    def _choose(self, name: str, rows: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = rows

    @property
    def plain(self) -> list[forms.BoundField]:
        """What is always seen."""
        return [field for field in self if field.name not in self.FOLDED]

    @property
    def folded(self) -> list[forms.BoundField]:
        return [field for field in self if field.name in self.FOLDED]

    @property
    def unfolds(self) -> bool:
        """Whether something in the fold was chosen or is wrong."""
        return any(
            self[name].value() not in (None, "", False, "False") or name in self.errors
            for name in ("clip_share", "poisson", "judge")
            if name in self.fields
        ) or bool(set(self.FOLDED) & set(self.errors))

    def plan(self) -> dict[str, Any]:
        """What the plan has otherwise than the default."""
        values, found = self.cleaned_data, {}
        if values.get("cohort"):
            found["cohort"] = values["cohort"]
        if values.get("clip_share"):
            found["clip_quantile_ppm"] = values["clip_share"] * PERCENT
        if values.get("poisson"):
            found["poisson"] = True
        return found

    def plateau(self) -> Plateau | None:
        values = self.cleaned_data
        if not values.get("judge"):
            return None
        return Plateau(
            evaluation=values["judge"],
            every=values.get("judge_every") or Plateau.every,
            window=values.get("judge_window") or Plateau.window,
        )

    def checkpoint(self) -> tuple[uuid.UUID, int] | None:
        """(job, number) of the model to judge."""
        chosen = self.cleaned_data.get("judged")
        if not chosen:
            return None
        job, number = chosen.split(":")
        return uuid.UUID(job), int(number)


def kind_of(algorithm: Algorithm) -> str:
    """The kind of answer a wallet gives."""
    return str(algorithm.manifest["output"]["kind"])


def judges_of(card: Card, algorithm: Algorithm | None) -> list[Algorithm]:
    """Evaluations announced at this collective that judge the algorithm's models."""
    if algorithm is None:
        return []
    model = model_hash(parse_manifest(algorithm.manifest))
    found = (row.algorithm for row in card.admissions if kind_of(row.algorithm) == EVALUATION)
    return [judge for judge in found if model_hash(parse_manifest(judge.manifest)) == model]


def models_for(judge: Algorithm | None, consumer: Any) -> list[tuple[str, str]]:
    """(job:number, words) of the newest checkpoint of every own job that trained the model which this evaluation judges."""
    if judge is None or consumer is None:
        return []
    model = model_hash(parse_manifest(judge.manifest))
    orders = list(Order.objects.filter(consumer=consumer)[:MOST_JOBS])
    jobs = collectives.jobs_by_id(order.job_id for order in orders)
    fitting = [
        (order, jobs[order.job_id])
        for order in orders
        if order.job_id in jobs
        and kind_of(jobs[order.job_id].algorithm) in TRAINED
        and model_hash(parse_manifest(jobs[order.job_id].algorithm.manifest)) == model
    ]
    newest = collectives.newest_numbers(job.pk for _order, job in fitting)
    words = _("%(name)s of %(day)s, checkpoint %(number)s")
    rows = []
    for order, job in fitting:
        day = date_format(order.created_at, "SHORT_DATETIME_FORMAT")
        said = words % {"name": job.algorithm.name, "day": day, "number": newest[job.pk]}
        rows.append((f"{job.pk}:{newest[job.pk]}", said))
    return rows


def lines(
    quantile_ppm: int, poisson: bool, plateau: Plateau | None, *, every: bool = False
) -> list[tuple[str, str]]:
    """(what, how it was chosen) for people: where it differs from the default, or every one."""
    rows = [
        (_("Clip bound"), _clip_words(quantile_ppm), quantile_ppm > 0),
        (_("Wallets are invited"), _invited_words(poisson), poisson),
        (_("Stops at a plateau"), _plateau_words(plateau), plateau is not None),
    ]
    return [(label, words) for label, words, chosen in rows if chosen or every]


def _clip_words(quantile_ppm: int) -> str:
    if not quantile_ppm:
        return _("the algorithm's own")
    share = f"{quantile_ppm / PERCENT:g}"
    return _("follows the wallets: %(percent)s %% of updates stay whole") % {"percent": share}


def _invited_words(poisson: bool) -> str:
    return _("each by a coin of its own") if poisson else _("least visited first")


def _plateau_words(plateau: Plateau | None) -> str:
    if plateau is None:
        return _("no")
    judge = Algorithm.objects.filter(manifest_hash=plateau.evaluation).first()
    words = _(
        "other wallets judge the model every %(every)s rounds by “%(name)s”; the job stops when %(window)s evaluations are on average no "
        "better than as many before"
    )
    name = judge.name if judge else plateau.evaluation[:12]
    return words % {"every": plateau.every, "name": name, "window": plateau.window}
