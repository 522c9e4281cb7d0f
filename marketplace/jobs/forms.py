"""What a consumer enters: an amount of tokens, an algorithm, a number of rounds, a result of their own."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.utils.functional import lazy
from django.utils.translation import gettext_lazy as _

from collectives.numbers import NumberField, WholeField
from collectives.selectors import Card
from collectives.terms.description import tokens
from marketplace.jobs.options import Options
from marketplace.jobs.services import planned
from marketplace.jobs.stop_rule import StopRule
from marketplace.settlement.forms import TokensField


def _token_named(words: Any) -> str:
    return str(words) % {"token": settings.TOKEN_SYMBOL}


_in_tokens = lazy(_token_named, str)
"""`%` on a lazy text would choose its language when the form is loaded instead of when it is read."""


class BudgetForm(forms.Form):
    """The calculator on a collective's card: budget / rate = visits, visits / subscribers = visits each."""

    budget = TokensField(label=_("Budget"), help_text=_in_tokens(_("in %(token)s")))

    def __init__(self, *args: Any, card: Card, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.card = card

    @property
    def result(self) -> dict[str, Any] | None:
        """visits, each (about, from the subscribers' step; None while there are none), rounds of the smallest group."""
        if not self.is_valid():
            return None
        return spread(self.card, self.cleaned_data["budget"])


def spread(card: Card, budget: int) -> dict[str, Any]:
    """What a budget (base units) buys at this collective. Subscribers count as their step, never exactly."""
    visits = budget // card.rate
    least = card.terms.document["release_min"]
    people = card.step
    return {
        "budget": budget,
        "visits": visits,
        "each": visits // people if people else None,
        "rounds": visits // least,
        "least": least * card.rate,
        "enough": visits >= least,
        "needed": least,
    }


class AlgorithmStep(forms.Form):
    algorithm = forms.ChoiceField(
        label=_("Algorithm"),
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Choose one."),
            "invalid_choice": _("Choose one of the listed algorithms."),
        },
    )

    def __init__(self, *args: Any, card: Card, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["algorithm"].choices = [  # type: ignore[attr-defined]
            (row.algorithm.manifest_hash, self._label(row)) for row in card.admissions
        ]

    @staticmethod
    def _label(row: Any) -> str:
        if row.status == "active":
            return str(_("%(name)s: allowed") % {"name": row.algorithm.name})
        day = row.effective_at.date().isoformat()
        return str(
            _("%(name)s: waits for its notice, may run from %(day)s")
            % {"name": row.algorithm.name, "day": day}
        )


class LimitsStep(Options, AlgorithmStep):
    budget = TokensField(
        label=_("Budget"),
        help_text=_in_tokens(_("in %(token)s. What is not spent comes back to the last unit.")),
    )
    rounds = WholeField(
        label=_("Rounds at most"),
        min_value=1,
        max_value=100_000,
        initial=20,
        help_text=_("The job also stops when the rest of the budget cannot pay one more group."),
    )
    cohort = WholeField(
        label=_("Wallets in each round"),
        required=False,
        max_value=100_000,
        help_text=_("Empty: a third above the smallest group, so that dropouts do not stop a round."),
    )

    stop_metric = forms.CharField(
        label=_("Stop early when this metric"),
        required=False,
        max_length=40,
        help_text=_("Such as accuracy. It counts what you report for a checkpoint; empty: no such rule."),
    )
    stop_side = forms.ChoiceField(
        label=_("is"), required=False, choices=[("least", _("at least")), ("most", _("at most"))]
    )
    stop_value = NumberField(label=_("this value"), required=False)

    field_order = (
        "algorithm",
        "judged",
        "budget",
        "rounds",
        "cohort",
        "stop_metric",
        "stop_side",
        "stop_value",
    )

    def __init__(self, *args: Any, card: Card, consumer: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, card=card, **kwargs)
        self.card = card
        self.fields["algorithm"].widget = forms.HiddenInput()
        self.offer(card, self["algorithm"].value(), consumer)

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        metric, value = values.get("stop_metric"), values.get("stop_value")
        values["stop_rule"] = None
        if metric and value is not None:
            least = values.get("stop_side") != "most"
            values["stop_rule"] = StopRule(metric=metric, value=value, at_least=least)
        elif metric and "stop_value" not in self.errors:
            self.add_error("stop_value", _("Say at which value the job stops, such as 0.95."))
        elif value is not None and "stop_metric" not in self.errors:
            self.add_error(
                "stop_metric", _("Say which metric, such as accuracy; or leave the value out too.")
            )
        if values.get("poisson") and values.get("budget") and "cohort" not in self.errors:
            self._check_coins(values["budget"])
        return values

    def _check_coins(self, budget: int) -> None:
        """Coins have no exact number: the budget must pay for the largest group that may come."""
        needed = planned(self.card, self.plan()).invited()
        if budget < needed * self.card.rate:
            words = _("Where coins decide, a round may need %(needed)s visits. Enter %(least)s or more.")
            self.add_error("budget", words % {"needed": needed, "least": tokens(needed * self.card.rate)})

    def clean_cohort(self) -> int | None:
        cohort: int | None = self.cleaned_data["cohort"]
        least = self.card.terms.document["release_min"]
        if cohort is not None and cohort < least:
            raise forms.ValidationError(
                _(
                    "Each step of the model sums at least %(least)s wallets here; enter %(least)s or more, or nothing."
                )
                % {"least": least}
            )
        return cohort

    def clean_budget(self) -> int:
        budget: int = self.cleaned_data["budget"]
        found = spread(self.card, budget)
        if not found["enough"]:
            raise forms.ValidationError(
                _(
                    "This pays %(visits)s visits; one round needs at least %(needed)s. Enter %(least)s or more."
                )
                % {"visits": found["visits"], "needed": found["needed"], "least": tokens(found["least"])}
            )
        return budget


class RequestForm(forms.Form):
    """Where the owner approves orders: what the owner decides by."""

    request = forms.CharField(
        label=_("Who you are and what the model is for"),
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"required": _("Say in a sentence or two who you are and what the model is for.")},
        help_text=_("The owner of this collective reads it and decides whether the job may begin."),
    )


class MetricForm(forms.Form):
    checkpoint = WholeField(label=_("Checkpoint"), min_value=0)
    name = forms.CharField(label=_("Metric"), max_length=40, initial="accuracy")
    value = NumberField(label=_("Value"))
