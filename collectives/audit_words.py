"""What a report of the privacy audit says, in the reader's language.

A report is English and pinned by its hash. A page recognises its sentences by the patterns that `collectives.audit` makes them from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_noop as noop

from collectives.phrases import Phrases
from collectives.terms.sentences import Sentence
from collectives.words import worded

PATTERNS = (
    noop("see the report"),
    noop("%(figure)s is %(value)s, above %(limit)s"),
    noop("%(problem)s (%(which)s weights)"),
    noop("first"),
    noop("trained"),
    # form, fields, ratio
    noop("Form of an answer"),
    noop(
        "%(wallets)s wallets, most of them with extreme records, made their answer twice in the sandbox's own function; length, type, operations "
        "and bytes were compared."
    ),
    noop("distance from the computation that is attacked"),
    noop("longest answer after clip and rounding, in bounds"),
    noop("an answer is not the same twice"),
    noop("an answer has another length or type than the manifest says"),
    noop("an answer is not finite for some records, so that a refusal tells of the record"),
    noop("what is computed depends on the record"),
    noop("Fields that are asked for are used"),
    noop("%(people)s people exchanged one field after the other; every exchange must change answers."),
    noop("fields without influence"),
    noop("%(field)s is asked for and changes nothing"),
    noop("Release ratio"),
    noop(
        "One sum over %(wallets)s wallets says %(numbers)s numbers about %(fields)s fields of each; wallets take part from %(needed)s on."
    ),
    noop("numbers released per wallet and field"),
    noop("wallets that wallets insist on"),
    noop("Numbers per wallet and field, by the size of the sum"),
    noop("this algorithm"),
    # canaries
    noop("Canaries: the noise of formal terms"),
    noop("Canaries: the noise floor"),
    noop(
        "%(people)s people, in or out by a coin, in sums of %(size)s: %(what)s. Bounds are wrong with a chance of %(chance)s."
    ),
    noop("the whole clip bound, %(visits)s visits each, against ε ≤ %(epsilon)s"),
    noop("a tenth of the clip bound, one visit each, against the noise floor"),
    noop("least ε, one run, nothing assumed"),
    noop("least ε, read as a Gaussian mechanism"),
    noop("least μ"),
    noop("canaries found at one false alarm in a hundred"),
    noop("Share of canaries with a score above x"),
    noop("score (1: a canary without noise)"),
    noop("in the sum"),
    noop("not in the sum"),
    # sparsity, inversion, traps
    noop("Places of one's own in a sum"),
    noop(
        "%(sums)s sums of %(size)s wallets each: what part of a wallet's answer lies where nobody else's does, and does it stand out from the "
        "noise by %(times)s σ?"
    ),
    noop("wallets that stand out in places of their own"),
    noop("wallets that would without noise"),
    noop("Wallets that stand out, by the size of the sum"),
    noop("share"),
    noop("Records made back from a sum"),
    noop(
        "Sums of %(sizes)s wallets; judged at %(bucket)s for the operator and at %(release)s for a consumer, as fewer are never read. What holds "
        "a small sum back is the noise, so both are shown."
    ),
    noop("R² at %(wallets)s wallets"),
    noop("recovered at %(wallets)s wallets"),
    noop("recovered at %(wallets)s wallets without noise"),
    noop("R² of records made back, by the size of the sum"),
    noop("with noise"),
    noop("without noise"),
    noop("Crafted weights"),
    noop("There is no learned layer with thresholds before an activation, so a trap has no place to be in."),
    noop(
        "%(sums)s sums of %(size)s wallets at imprint weights, and at sparse ones where the units are relus. No round begins with such weights; "
        "this is what the noise would still hold back."
    ),
    noop("recovered with crafted weights"),
    noop("of a person, with crafted weights"),
    noop("recovered with crafted weights, without noise"),
    noop("of a person, with crafted weights, without noise"),
    noop("How much of a person comes back with crafted weights, by the size of the sum"),
    # properties, membership
    noop("One field of one person"),
    noop(
        "%(people)s people of whom all but one field is known; one sum, two values to choose from, %(fields)s fields in turn. The field that is told "
        "best is %(field)s."
    ),
    noop("right choices from a sum of %(wallets)s (the consumer's)"),
    noop("right choices from a sum of %(wallets)s (the operator's)"),
    noop("Right choices about the field that is told best, by the size of the sum"),
    noop("Membership"),
    noop("%(people)s people, each in a released sum or not: somebody who knows their whole record chooses."),
    noop(
        "%(jobs)s jobs over %(wallets)s wallets each, trained to the end; of %(pairs)s pairs of a job and a person the person's loss says whether it "
        "took part."
    ),
    noop("right choices from one sum of %(wallets)s, whole record known"),
    noop("right choices from the final model"),
    noop("found at one false alarm in a hundred"),
    noop("Told from one sum whether somebody is in it, whole record known"),
    noop("Members found, by share of false alarms (final model)"),
    noop("share of others called members"),
    noop("wallets"),
    noop("right"),
    noop("guessing"),
    noop("found"),
    noop("limit"),
)
OF_A_PART = noop("%(part)s: %(why)s")
KNOWN = Phrases(PATTERNS, inner=("figure", "problem", "which", "what"))


def sentence(text: str) -> str:
    """The text as a `Sentence`; a line of a whole report begins with the title of its part."""
    part, colon, why = text.partition(": ")
    if colon and part in PATTERNS:
        return Sentence(OF_A_PART, part=Sentence(part), why=KNOWN.sentence(why))
    return KNOWN.sentence(text)


def said(text: str) -> str:
    """A sentence of a report in the language that is active now; one that is not known stays English."""
    return worded(sentence(text))


def told(report: Mapping[str, Any]) -> dict[str, Any]:
    """A whole report for a page: numbers and names of parts as they are, words in the language that is active now."""
    return dict(report) | {
        "why": [said(sentence) for sentence in report["why"]],
        "parts": [_part(part) for part in report["parts"]],
    }


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    return dict(part) | {
        "title": said(part["title"]),
        "sentence": said(part["sentence"]),
        "why": [said(sentence) for sentence in part["why"]],
        "figures": [figure | {"name": said(figure["name"])} for figure in part["figures"]],
        "curves": [_curve(curve) for curve in part["curves"]],
    }


def _curve(curve: Mapping[str, Any]) -> dict[str, Any]:
    return dict(curve) | {
        "title": said(curve["title"]),
        "x_label": said(curve["x_label"]),
        "series": [line | {"name": said(line["name"])} for line in curve["series"]],
    }
