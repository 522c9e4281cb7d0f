"""Reasons that rows keep, in the reader's language (ADR 0070).

Why a job waits, a round stopped or a transaction failed is written where nobody reads: by a worker, by the aggregator, from what
the chain answered. Rows, logs and the API keep one English sentence. A page recognises the sentence by the pattern it was made
from and says the pattern in its own language; what a person wrote fits no pattern and stays as it is.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_noop as noop

from collectives.phrases import expressions
from marketplace import service_words

MOMENT = "%d %B %Y %H:%M"
PATTERNS = (
    # jobs
    noop("the owner decides on this order"),
    noop("checked"),
    noop("approved by the owner"),
    noop("the budget is in escrow"),
    noop("resumed"),
    noop("stopped by the consumer"),
    noop("stopped by the administrator"),
    noop("as ordered: %(rule)s"),
    noop("%(metric)s is at least %(value)s"),
    noop("%(metric)s is at most %(value)s"),
    noop("the collective was reinstated"),
    noop("the collective is suspended"),
    noop("every visit is paid and the rest refunded"),
    noop("The job was refused (%(code)s): %(why)s Nothing was charged."),
    noop("paused after the last round"),
    noop("The collective withdrew the algorithm."),
    noop("all %(rounds)s rounds are done"),
    noop("the rest pays %(left)s visits, fewer than the minimum of %(least)s"),
    noop("the privacy budgets of its wallets are used up"),
    noop("no better for %(window)s evaluations by other wallets: a loss of %(loss)s ± %(error)s"),
    noop("rounds could not be completed"),
    noop("The algorithm was withdrawn before the job began. Nothing was charged."),
    noop("%(needed)s subscribers are needed; the job begins when they are there."),
    noop("enough subscribers, notice period over"),
    noop("Too few wallets take this algorithm; the job begins when enough do."),
    noop("The algorithm may run from %(moment)s UTC on."),
    noop(
        "%(enrolled)s wallets enrolled, %(needed)s are needed. Nobody was asked to compute and nothing was charged."
    ),
    noop("%(enrolled)s wallets enrolled"),
    # rounds
    noop("Round %(round)s was refused (%(code)s): %(why)s"),
    noop("Round %(round)s was ended by the administrator: %(why)s"),
    noop("Round %(round)s could not begin in time and is begun anew. Nothing was charged."),
    noop(
        "Round %(round)s stopped: %(answered)s wallets answered, %(needed)s are needed. Nobody's data was revealed and "
        "nothing was charged."
    ),
    noop(
        "Round %(round)s stopped: %(answered)s wallets answered, %(paid)s are paid for. Nobody's data was revealed and "
        "nothing was charged."
    ),
    noop(
        "Round %(round)s stopped: %(why)s Nobody's data was revealed. Visits already proven are paid; nothing else was "
        "charged."
    ),
    noop("Round %(round)s stopped: its sum does not fit the model or the minimum, and was not used."),
    noop("too few wallets finished"),
    # what the aggregator gives as its reason
    noop("No cohort was named for this round."),
    noop("The distributor did not sign in time."),
    noop("The collective ended the round."),
    noop("Too few wallets answered; nothing was shared."),
    noop("Too few wallets shared their keys; nothing was masked."),
    noop("Too few neighbours are left to unmask; nothing was revealed."),
    noop("Fewer wallets than the bucket's minimum sent an input; nothing was revealed."),
    noop("Fewer wallets than the release minimum are left; nothing is released."),
    noop("Too few wallets agreed on the survivors; nothing was revealed."),
    noop("Too few wallets answered the unmasking; nothing was computed."),
    noop("The shares of a wallet do not fit what it committed to; the bucket is dropped."),
    noop("The escrow box of a lost wallet does not open; the bucket is dropped."),
    noop("The sum's count differs from the survivors; the bucket is dropped."),
    noop("The sum's checksum does not fit; the bucket is dropped."),
    noop("The sum exceeds what so many wallets can contribute; the bucket is dropped."),
    noop("%(got)s of at least %(least)s"),
    noop("a wallet has %(got)s of %(least)s helpers"),
    noop("%(got)s of %(least)s neighbours"),
    noop("%(short)s secrets have fewer than %(least)s shares"),
    # algorithms, notices, audits
    noop("New algorithm: %(name)s"),
    noop("Named in version %(version)s of the terms."),
    noop("No reason given."),
    noop("closed vocabulary"),
    noop("limits"),
    noop("Only known operators, no code."),
    noop("%(parameters)s parameters in %(layers)s layers."),
    noop("%(kind)s, %(values)s values, clipped to %(clip)s."),
    noop("Its process ended; it was begun again."),
    noop("Its process ended twice."),
    noop("The audit ended with %(error)s; ask for it again, or see the log."),
    noop("%(part)s, %(done)s of %(of)s parts done"),
    # money
    noop("the order of the collective was refused by the chain"),
    noop("the collective could not be published as an asset"),
    noop("orders of this collective are off: %(state)s"),
    noop("the chain reverted it"),
    noop("the chain reverted it: %(why)s"),
    noop("%(who)s… holds %(held)s and %(needed)s are needed"),
    noop("%(allowed)s are allowed to %(who)s… and %(needed)s are needed"),
    noop("the permit was good until %(moment)s UTC"),
    noop("the job would have ended at %(moment)s UTC, which is over"),
    noop("order %(order)s… opened a job before"),
    noop("job %(job)s… is in escrow already"),
    noop("%(budget)s do not pay one visit at %(rate)s"),
    noop("%(left)s are left and %(asked)s were asked for"),
    noop("settlement %(given)s came where %(expected)s is next"),
    noop("the price is %(price)s, above %(most)s"),
    noop("possible from %(moment)s UTC on"),
    noop("%(why)s. Nothing was moved."),
    *service_words.PATTERNS,
)


def said(text: str) -> str:
    """A kept reason in the language that is active now; a text that nothing here made stays what it is."""
    return text if (get_language() or "en").startswith("en") else _said(str(text), 3)


def _said(text: str, depth: int) -> str:
    if not text or not depth:
        return text
    if text in PATTERNS:
        return gettext(text)
    if text.endswith(")") and " (" in text:  # a sentence of the aggregator with its numbers
        sentence, numbers = text[:-1].rsplit(" (", 1)
        if sentence in PATTERNS:
            return f"{gettext(sentence)} ({_said(numbers, depth - 1)})"
    for pattern, expression in _expressions():
        found = expression.fullmatch(text)
        if found:
            values = {name: _value(name, value, depth) for name, value in found.groupdict().items()}
            return gettext(pattern) % values
    return text


def _value(name: str, value: str, depth: int) -> str:
    if name == "moment":
        return _moment(value)
    return _said(value, depth - 1) if name in ("why", "rule") else value


def _moment(text: str) -> str:
    for form in (MOMENT, f"{MOMENT}:%S"):
        try:
            moment = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return date_format(localtime(moment, UTC), "DATETIME_FORMAT")
    return text


@lru_cache(maxsize=1)
def _expressions() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return expressions(PATTERNS)
