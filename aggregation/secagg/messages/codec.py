"""How a message dataclass becomes bytes and back: one CBOR map with the keys `t` (kind), `v` (version) and the fields.

A class derives from `Message`, names its kind and, for fields that are not plain values, how they are packed and unpacked. Decoding
is strict: exactly the expected keys, then the same validation as construction. The validators raise `Invalid`, an
internal exception that becomes `RemoteProtocolError` when a message was decoded and `LocalProtocolError` when it was built here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from aggregation.secagg.errors import Fault, LocalProtocolError, RemoteProtocolError
from aggregation.wire import cbor, signing
from aggregation.wire.errors import BadKey, BadSignature, CodecError
from aggregation.wire.secret import Secret

VERSION = 1


class Invalid(Exception):
    """A value does not fit its field."""

    def __init__(self, detail: str, fault: Fault = Fault.MALFORMED) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fault = fault


def check_bytes(value: object, length: int, name: str) -> None:
    if not isinstance(value, bytes) or len(value) != length:
        raise Invalid(f"{name} must be {length} bytes")


def check_blob(value: object, longest: int, name: str) -> None:
    if not isinstance(value, bytes) or len(value) > longest:
        raise Invalid(f"{name} must be at most {longest} bytes")


def check_int(value: object, low: int, high: int, name: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Invalid(f"{name} must be an integer")
    if not low <= value <= high:
        raise Invalid(f"{name} must lie within {low} and {high}", Fault.OUT_OF_RANGE)


def check_ascending(values: Sequence[int], high: int, name: str) -> None:
    """Positions: integers from 0 to below `high`, strictly ascending, so none appears twice."""
    if not isinstance(values, tuple):
        raise Invalid(f"{name} must be a tuple")
    last = -1
    for value in values:
        check_int(value, 0, high - 1, name)
        if value <= last:
            raise Invalid(f"{name} must ascend", Fault.DUPLICATE)
        last = value


def rows(value: object, *columns: str) -> list[list[Any]]:
    """A decoded array of arrays of so many columns."""
    if not isinstance(value, list) or any(
        not isinstance(row, list) or len(row) != len(columns) for row in value
    ):
        raise Invalid(f"an array of [{', '.join(columns)}] is expected")
    return value


def integers(value: object) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise Invalid("an array of integers is expected")
    return tuple(value)


@dataclass(frozen=True, kw_only=True)
class Message:
    """The base of every message. Subclasses set KIND and define `_validate`."""

    KIND: ClassVar[str]

    def __post_init__(self) -> None:
        try:
            self._validate()
        except Invalid as error:
            raise LocalProtocolError(error.fault, error.detail) from None

    def _validate(self) -> None:
        """Raises:
        Invalid: a field is not what the format says.
        """

    def _pack(self) -> dict[str, Any]:
        """The fields as CBOR values; overridden where a field is not one already."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def _unpack(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The inverse of `_pack`."""
        return values

    def to_bytes(self) -> bytes:
        return cbor.encode({"t": self.KIND, "v": VERSION, **self._pack()})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises:
        RemoteProtocolError: the bytes are not this message.
        """
        try:
            values = cbor.decode(data)
        except CodecError as error:
            raise RemoteProtocolError(Fault.MALFORMED, str(error)) from None
        expected = {"t", "v", *(field.name for field in fields(cls))}
        if not isinstance(values, dict) or values.keys() != expected:
            raise RemoteProtocolError(Fault.MALFORMED, f"these are not the fields of {cls.KIND}")
        if values.pop("t") != cls.KIND or values["v"] is True or values.pop("v") != VERSION:
            raise RemoteProtocolError(Fault.MALFORMED, f"this is not {cls.KIND} in version {VERSION}")
        try:
            return cls(**cls._unpack(values))
        except Invalid as error:
            raise RemoteProtocolError(error.fault, error.detail) from None
        except LocalProtocolError as error:
            raise RemoteProtocolError(error.reason, error.detail) from None


@dataclass(frozen=True, kw_only=True)
class SignedMessage(Message):
    """A message with a `signature` over `LABEL ‖ 0x00 ‖ cbor(signed_body())`."""

    LABEL: ClassVar[bytes]

    signature: bytes

    def signed_body(self) -> dict[str, Any]:
        """What the signature covers: every field but the signature, unless a message says otherwise."""
        body = self._pack()
        del body["signature"]
        return body

    @classmethod
    def _signed(cls, private: Secret, **values: Any) -> Self:
        unsigned = cls(signature=bytes(signing.SIGNATURE_BYTES), **values)
        return cls(signature=signing.sign(private, cls.LABEL, unsigned.signed_body()), **values)

    def verify_by(self, public: bytes) -> None:
        """Raises:
        RemoteProtocolError: the signature is not the key's.
        """
        verify(public, self.LABEL, self.signed_body(), self.signature)


def verify(public: bytes, label: bytes, body: Any, signature: bytes) -> None:
    """`signing.verify` in the protocol's own errors."""
    try:
        signing.verify(public, label, body, signature)
    except BadKey as error:
        raise RemoteProtocolError(Fault.BAD_KEY, str(error)) from None
    except BadSignature as error:
        raise RemoteProtocolError(Fault.BAD_SIGNATURE, str(error)) from None
