"""Reading the fields of documents: exact names, exact types, bounded sizes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from collectives.terms.errors import TermsError
from collectives.terms.sentences import Sentence

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_UINT = re.compile(r"0|[1-9][0-9]{0,77}")
_MONEY = re.compile(r"0|[1-9][0-9]{0,37}")
LATEST = 2**53 - 1
MOST_HASHES = 64
# Joiners belong to some scripts' spelling and to emoji; they hide nothing.
_JOINERS = "\u200c\u200d"


def exactly(document: Any, names: Sequence[str], what: str) -> Mapping[str, Any]:
    """The document as a mapping that has these names and no others; `what` begins the sentence that refuses it."""
    what = what if isinstance(what, Sentence) else Sentence(what)
    if not isinstance(document, Mapping):
        raise TermsError("malformed", "%(what)s must be a JSON object.", what=what)
    lacking, unknown = set(names) - set(document), set(document) - set(names)
    if lacking:
        raise TermsError(
            "malformed", "%(what)s lacks %(lacking)s.", what=what, lacking=", ".join(sorted(lacking))
        )
    if unknown:
        raise TermsError(
            "malformed",
            "%(what)s has the unknown field %(unknown)s.",
            what=what,
            unknown=", ".join(sorted(map(str, unknown))),
        )
    return document


def text(document: Mapping[str, Any], name: str, *, least: int = 0, most: int = 2000) -> str:
    value = document[name]
    if not isinstance(value, str) or not least <= len(value) <= most:
        raise TermsError(
            "malformed",
            "%(name)s must be text of %(least)s to %(most)s characters.",
            name=name,
            least=least,
            most=most,
        )
    return value


def shown(document: Mapping[str, Any], name: str, *, least: int = 0, most: int, lines: bool = False) -> str:
    """Text that a person reads before agreeing: nothing in it may be invisible or turn the writing round (Unicode TR 36).

    Raises:
        TermsError: `malformed` for a wrong length, `invisible` for control and format characters.
    """
    value = text(document, name, least=least, most=most)
    allowed = _JOINERS + ("\n\r\t" if lines else "")
    hidden = {c for c in value if unicodedata.category(c) in {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}} - set(
        allowed
    )
    if hidden:
        codes = ", ".join(f"U+{ord(c):04X}" for c in sorted(hidden)[:4])
        raise TermsError(
            "invisible",
            "%(name)s holds characters that cannot be seen (%(codes)s). Take them out.",
            name=name,
            codes=codes,
        )
    return value


def one_of(document: Mapping[str, Any], name: str, choices: Sequence[str]) -> str:
    value = document[name]
    if value not in choices:
        raise TermsError(
            "malformed", "%(name)s must be one of %(choices)s.", name=name, choices=", ".join(choices)
        )
    return str(value)


def integer(document: Mapping[str, Any], name: str, least: int = 0, most: int = LATEST) -> int:
    value = document[name]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        shown = type(value) is int and abs(value) <= LATEST
        # As text: these are numbers to be typed, so nothing groups their digits.
        given = Sentence("; it is %(value)s", value=str(value)) if shown else ""
        raise TermsError(
            "malformed",
            "%(name)s must be a whole number from %(least)s to %(most)s%(given)s.",
            name=name,
            least=str(least),
            most=str(most),
            given=given,
        )
    return value


def flag(document: Mapping[str, Any], name: str) -> bool:
    value = document[name]
    if not isinstance(value, bool):
        raise TermsError("malformed", "%(name)s must be true or false.", name=name)
    return value


def uuid(document: Mapping[str, Any], name: str) -> str:
    value = document[name]
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise TermsError("malformed", "%(name)s must be a UUID in lower case.", name=name)
    return value


def hex_bytes(document: Mapping[str, Any], name: str, size: int) -> str:
    value = document[name]
    if not isinstance(value, str) or not re.fullmatch(rf"[0-9a-f]{{{2 * size}}}", value):
        raise TermsError(
            "malformed", "%(name)s must be %(size)s bytes in lower-case hex.", name=name, size=size
        )
    return value


def hashes(document: Mapping[str, Any], name: str, most: int = MOST_HASHES) -> tuple[str, ...]:
    value = document[name]
    if not isinstance(value, list) or len(value) > most or len(set(map(str, value))) != len(value):
        raise TermsError(
            "malformed", "%(name)s must be a list of at most %(most)s different hashes.", name=name, most=most
        )
    return tuple(hex_bytes({name: item}, name, 32) for item in value)


def money(document: Mapping[str, Any], name: str) -> int:
    """Base units (18 decimals), written as a decimal string."""
    value = document[name]
    if not isinstance(value, str) or not _MONEY.fullmatch(value):
        raise TermsError(
            "malformed", "%(name)s must be an amount in base units, as a decimal string.", name=name
        )
    return int(value)


def uint256(document: Mapping[str, Any], name: str) -> int:
    """A number of the chain, written as a decimal string because it may exceed what JSON carries exactly."""
    value = document[name]
    if not isinstance(value, str) or not _UINT.fullmatch(value) or int(value) >= 2**256:
        raise TermsError(
            "malformed", "%(name)s must be a whole number below 2^256, as a decimal string.", name=name
        )
    return int(value)
