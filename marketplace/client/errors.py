"""What a call may raise."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """The marketplace said no. `code` is for programs, the text says what to do, `fields` which value is wrong."""

    def __init__(self, code: str, detail: str, *, status: int, fields: Any = None) -> None:
        super().__init__(detail)
        self.code = code
        self.status = status
        self.fields = fields

    def __str__(self) -> str:
        wrong = f" {self.fields}" if self.fields else ""
        return f"{super().__str__()}{wrong} ({self.code}, {self.status})"


class Unreachable(Exception):
    """No answer, or none that can be read, after several tries."""
