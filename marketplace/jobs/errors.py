"""Why an order cannot be taken; the text carries the numbers and says what to do."""

from __future__ import annotations

from collectives.errors import Refusal


class OrderError(Refusal):
    pass
