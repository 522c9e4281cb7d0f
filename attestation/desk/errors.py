"""Why an issuer's desk says no. `code` is for programs, the text says what to do in the reader's language, `status` is the HTTP answer."""

from __future__ import annotations

from collectives.errors import Refusal


class DeskError(Refusal):
    pass
