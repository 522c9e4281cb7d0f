"""Make the page from a requirement, and recognise one that was made elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from collectives.terms.canonical import canonical, parse_json
from collectives.terms.errors import TermsError
from collectives.terms.requirements import check_profile

_SCRIPTS = ("phrases.js", "german_form.js", "rules.js", "form.js", "tool.js")
_MARK = "{{requirement}}"
_MODULE_LINE = re.compile(r"^(?:import|export) .*\n", re.MULTILINE)
"""The pages of a wallet load the rules and the form as modules; here all stands in one script, without the lines that join modules."""


@cache
def template() -> str:
    """The page without its requirement: the same bytes for every collective."""
    style, script = (
        _part("tool.css"),
        '"use strict";\n' + "\n".join(_MODULE_LINE.sub("", _part(name)) for name in _SCRIPTS),
    )
    parts = {
        "{{script-hash}}": _csp_hash(script),
        "{{style-hash}}": _csp_hash(style),
        "{{style}}": style,
        "{{script}}": script,
    }
    page = _part("template.html")
    for mark, text in parts.items():
        page = page.replace(mark, text)
    return page


def template_hash() -> str:
    """SHA-256 of the template, hex: published in docs/protocol/data-tool.md."""
    return hashlib.sha256(template().encode()).hexdigest()


def render(requirement: Mapping[str, Any]) -> str:
    """The whole page for one requirement.

    Raises:
        TermsError: `bad_requirement`.
    """
    check_profile(requirement)
    return template().replace(_MARK, _embedded(requirement))


def requirement_of(page: str) -> Mapping[str, Any]:
    """The requirement of a page, only if the page is the published template byte for byte.

    Raises:
        TermsError: `wrong_tool`, for any other page; `bad_requirement`.
    """
    before, after = template().split(_MARK)
    if not (page.startswith(before) and page.endswith(after) and len(page) > len(before) + len(after)):
        raise TermsError(
            "wrong_tool",
            "This is not the published data creation tool. Do not enter data; get the page from the collective again.",
        )
    requirement = parse_json(page[len(before) : len(page) - len(after)])
    check_profile(requirement)
    if render(requirement) != page:
        raise TermsError("wrong_tool", "The requirement in this page is not written as the tool writes it.")
    found: Mapping[str, Any] = requirement
    return found


def _embedded(requirement: Mapping[str, Any]) -> str:
    """The canonical requirement as JSON that cannot end the script element it stands in."""
    text = json.dumps(json.loads(canonical(requirement)), ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _part(name: str) -> str:
    return resources.files("collectives.datatool").joinpath(name).read_text("utf-8")


def _csp_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
