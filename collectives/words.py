"""Sentences of the cores in the reader's language: the pattern is translated, then its blanks are filled."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext

from collectives.terms.sentences import Sentence


def worded(said: Any) -> str:
    """A sentence in the language that is active now; any other value as text, numbers as the reader writes them."""
    if isinstance(said, Sentence):
        words = gettext(said.pattern)
        return words % {name: worded(value) for name, value in said.values.items()} if said.values else words
    if type(said) is int:
        return str(number_format(said, use_l10n=True, force_grouping=True))
    if isinstance(said, Decimal):
        return str(number_format(said, use_l10n=True))
    return str(said)


def told(error: Exception) -> str:
    """What an error says, in the language that is active now."""
    return worded(getattr(error, "sentence", None) or str(error))
