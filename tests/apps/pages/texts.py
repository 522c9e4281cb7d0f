"""Every text that the sources mark for translation, read from the sources themselves: what no page of a test shows counts too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.template.base import Lexer, TokenType

ROOT = Path(__file__).parents[3]
FOLDERS = ("attestation", "collectives", "marketplace")
BESIDES = {"audit", "demo", "devchain", "management", "migrations", "supervisor"}
"""Commands and demos speak English. The audit's report is English too, and pages say it by `collectives.audit_words`, which has a test of its own."""

REFUSALS = ("TermsError", "CollectiveError", "OrderError", "SettlementError", "IndividualError", "DeskError")
PLACES = {
    **dict.fromkeys(("_", "gettext", "lazy", "gettext_lazy", "noop", "say", "Sentence", "_refuse"), (0,)),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (0,)),
    **dict.fromkeys(REFUSALS, (1,)),
    "exactly": (2,),
    "refused_without": (2,),
}
"""Which argument of which call is a text, as in `manage.py makemessages`."""
TEMPLATE = re.compile(r'_\(\s*("(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\')\s*\)')


@dataclass(frozen=True, kw_only=True)
class Text:
    where: str
    text: str | None
    """None: not a constant, so nobody can translate it."""


def in_python() -> Iterator[Text]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not BESIDES & set(path.relative_to(ROOT).parts):
                yield from _of(path)


def _of(path: Path) -> Iterator[Text]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
        for place in PLACES.get(name, ()):
            if len(node.args) > place:
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                yield from (Text(where=where, text=text) for text in _constants(node.args[place]))


def _constants(node: ast.expr) -> Iterator[str | None]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=one, orelse=other):
            yield from _constants(one)
            yield from _constants(other)
        case ast.JoinedStr():
            yield None


def in_templates() -> Iterator[Text]:
    for path in sorted((ROOT / "templates").rglob("*.*")):
        if path.suffix in (".html", ".txt"):
            where = str(path.relative_to(ROOT))
            yield from (Text(where=where, text=text) for text in _marked(path.read_text(encoding="utf-8")))


def _marked(source: str) -> Iterator[str]:
    """Texts of `translate` and `_("…")`; what `blocktranslate` holds is walked as pages."""
    for token in Lexer(source).tokenize():
        if token.token_type in (TokenType.BLOCK, TokenType.VAR):
            if token.contents.startswith(("translate '", 'translate "')):
                yield token.split_contents()[1][1:-1]
            yield from (found[1:-1] for found in TEMPLATE.findall(token.contents))
