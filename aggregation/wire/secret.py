"""A holder for secret bytes that never says what it holds."""

from __future__ import annotations

import hmac
from typing import NoReturn


class Secret:
    """Secret bytes: `repr` shows only the length, comparison takes constant time, pickling is refused.

    Erasing overwrites this object's own copy. Copies that libraries made are out of reach of Python; erasing
    narrows the window in which a memory image holds the secret, it does not close it.
    """

    __slots__ = ("_data",)

    def __init__(self, data: bytes | bytearray) -> None:
        self._data = bytearray(data)

    def reveal(self) -> bytes:
        """The bytes themselves.

        Raises:
            ValueError: the secret was erased.
        """
        if not self._data:
            raise ValueError("this secret was erased")
        return bytes(self._data)

    def erase(self) -> None:
        self._data[:] = bytes(len(self._data))  # of the same length, so written over in place
        self._data = bytearray()

    @property
    def erased(self) -> bool:
        return not self._data

    def __len__(self) -> int:
        return len(self._data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._data, other._data)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Secret of {len(self._data)} bytes>"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
