"""What page templates may use beyond Django's own tags: components with content, money, periods, steps.

`{% component "card" title=name %} … {% endcomponent %}` renders `components/card.html` with what stands between as
`content`. Components without content are plain includes; each names its variables at its top.
"""

from __future__ import annotations

from typing import Any

from django import template
from django.template.base import FilterExpression, NodeList, Parser, Token, token_kwargs
from django.template.context import Context
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import number_format
from django.utils.safestring import SafeString, mark_safe
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext, ngettext

from marketplace import reasons

register = template.Library()
DECIMALS = 18
UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


class ComponentNode(template.Node):
    def __init__(self, name: FilterExpression, values: dict[str, FilterExpression], body: NodeList) -> None:
        self.name, self.values, self.body = name, values, body

    def render(self, context: Context) -> SafeString:
        values = {key: value.resolve(context) for key, value in self.values.items()}
        # The body is escaped template output already; a component only places it.
        values["content"] = mark_safe(self.body.render(context))  # noqa: S308
        found = context.template.engine.get_template(f"components/{self.name.resolve(context)}.html")
        with context.push(**values):
            return mark_safe(found.render(context))  # noqa: S308


@register.tag
def component(parser: Parser, token: Token) -> ComponentNode:
    bits = token.split_contents()[1:]
    if not bits:
        raise template.TemplateSyntaxError("component needs the name of a component")
    name = parser.compile_filter(bits[0])
    rest = bits[1:]
    values = token_kwargs(rest, parser)
    if rest:
        raise template.TemplateSyntaxError(f"component takes name=value only, not {rest[0]!r}")
    body = parser.parse(("endcomponent",))
    parser.delete_first_token()
    return ComponentNode(name, values, body)


@register.filter
def said(reason: Any) -> str:
    """A reason that a row keeps, in the reader's language."""
    return reasons.said(str(reason or ""))


@register.filter
def tokens(amount: Any) -> str:
    """Base units as tokens, exact, in the reader's number format: 5000000000000000 -> 0.005."""
    if amount is None or amount == "":
        return "–"
    value = int(amount)
    whole, rest = divmod(abs(value), 10**DECIMALS)
    places = f"{rest:0{DECIMALS}d}".rstrip("0")
    text = f"{whole}.{places}" if places else str(whole)
    return ("−" if value < 0 else "") + number_format(text, use_l10n=True, force_grouping=True)


@register.filter
def count(number: Any) -> str:
    """A whole number with the reader's grouping."""
    return "–" if number is None else number_format(int(number), use_l10n=True, force_grouping=True)


@register.filter
def dropped(round_: Any) -> str:
    """Wallets of a closed round that began and are not in its sum."""
    return count(max(0, round_.joined - round_.survivors))


@register.filter
def period(seconds: Any) -> str:
    """A period in the largest unit that fits: '14 days'."""
    value = int(seconds or 0)
    for size, unit in UNITS:
        if value >= size and value % size == 0:
            return _unit(value // size, unit)
    return _unit(value, "second")


def _unit(number: int, unit: str) -> str:
    words = {
        "day": ngettext("%(n)s day", "%(n)s days", number),
        "hour": ngettext("%(n)s hour", "%(n)s hours", number),
        "minute": ngettext("%(n)s minute", "%(n)s minutes", number),
        "second": ngettext("%(n)s second", "%(n)s seconds", number),
    }
    return words[unit] % {"n": number}


@register.filter
def moment(value: Any) -> Any:
    """Unix seconds or ISO text as an aware datetime; a datetime stays what it is."""
    if isinstance(value, int | float):
        return timezone.datetime.fromtimestamp(value, tz=timezone.get_current_timezone())
    return parse_datetime(value) if isinstance(value, str) else value


@register.filter
def ago(value: Any) -> str:
    """'3 minutes ago', 'just now', or 'in 3 minutes'."""
    when = moment(value)
    if when is None:
        return gettext("never")
    seconds = (timezone.now() - when).total_seconds()
    if abs(seconds) < 60:
        return gettext("just now") if seconds >= 0 else gettext("in under a minute")
    if seconds < 0:
        return gettext("in %(time)s") % {"time": timeuntil(when, depth=1)}
    return gettext("%(time)s ago") % {"time": timesince(when, depth=1)}


@register.filter
def is_past(value: Any) -> bool:
    """Whether a moment is over."""
    when = moment(value)
    return when is not None and when <= timezone.now()


@register.filter
def short_hash(value: Any) -> str:
    """The first twelve digits of a hash, enough to compare by eye."""
    text = str(value or "")
    return f"{text[:12]}…" if len(text) > 12 else text


@register.filter
def get(mapping: Any, key: Any) -> Any:
    """A value by a key that is itself a variable."""
    return mapping.get(key) if hasattr(mapping, "get") else None


@register.simple_tag(takes_context=True)
def current(context: Context, prefix: str, but: str = "") -> str:
    """`aria-current` for a link whose part of the site is open; `but` is a part of it that another link stands for."""
    request = context.get("request")
    path = getattr(request, "path", "")
    if but and path.startswith(but):
        return ""
    if path == prefix:
        return mark_safe('aria-current="page"')
    return mark_safe('aria-current="true"') if path.startswith(prefix) and prefix != "/" else ""
