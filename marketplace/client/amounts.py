"""Money between people and the API: whole tokens with 18 places, and integers of base units. Never a float."""

from __future__ import annotations

from decimal import Decimal, localcontext

PLACES = 18
MOST_DIGITS = 38
"""As many digits of base units as the API takes."""


def base_units(tokens: str | int | Decimal) -> int:
    """`"120.5"` tokens as base units.

    Raises:
        ValueError: no amount, below zero, or more than 18 places.
        TypeError: a float, which cannot say an amount exactly.
    """
    if isinstance(tokens, float):
        raise TypeError('Write the amount as a text, such as "120.5": a float is not exact.')
    with localcontext() as context:
        context.prec = 100
        try:
            units = Decimal(tokens).scaleb(PLACES)
            if units.adjusted() >= MOST_DIGITS:
                raise ValueError
            whole = int(units)
        except (ArithmeticError, ValueError) as error:
            raise ValueError(f"{tokens!r} is no amount; write one such as 120.5.") from error
        if whole != units or units < 0:
            raise ValueError(f"{tokens!r} is no amount of 0 or more with at most {PLACES} places.")
    return whole


def in_tokens(units: int) -> str:
    """Base units as people write them: 120500000000000000000 -> "120.5"."""
    whole, rest = divmod(units, 10**PLACES)
    return f"{whole}.{rest:0{PLACES}d}".rstrip("0").rstrip(".") if rest else str(whole)
