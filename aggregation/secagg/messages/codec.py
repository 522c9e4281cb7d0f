"""How a message dataclass becomes bytes and back: one CBOR map with the keys `t` (kind), `v` (version) and the fields.

A class derives from `Message`, names its kind and, for fields that are not plain values, how they are packed and unpacked. Decoding
is strict: exactly the expected keys, then the same validation as construction. The validators raise `Invalid`, an
internal exception that becomes `RemoteProtocolError` when a message was decoded and `LocalProtocolError` when it was built here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from operator import lt
from typing import Any, ClassVar, Self, TypeVar

from aggregation.secagg.errors import Fault, LocalProtocolError, RemoteProtocolError
from aggregation.wire import cbor, signing
from aggregation.wire.errors import BadKey, BadSignature, CodecError
from aggregation.wire.secret import Secret
from aggregation.wire.shapes import Field, Shape

VERSION = 1
Row = TypeVar("Row", bound=tuple[Any, ...])


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
    if not values:
        return
    if set(map(type, values)) != {int}:
        raise Invalid(f"{name} must be integers")
    if values[0] < 0 or max(values) >= high:
        raise Invalid(f"{name} must lie within 0 and {high - 1}", Fault.OUT_OF_RANGE)
    if not all(map(lt, values, values[1:])):
        raise Invalid(f"{name} must ascend", Fault.DUPLICATE)


def check_each(values: Iterable[object], length: int, name: str) -> None:
    """Byte strings of one length; the columns of tables are checked at once."""
    found: list[Any] = list(values)
    if not set(map(type, found)) <= {bytes} or not set(map(len, found)) <= {length}:
        raise Invalid(f"every {name} must be {length} bytes")


def rows(value: object, *columns: str) -> list[list[Any]]:
    """A decoded array of arrays of so many columns."""
    if (
        not isinstance(value, list)
        or not set(map(type, value)) <= {list}
        or not set(map(len, value)) <= {len(columns)}
    ):
        raise Invalid(f"an array of [{', '.join(columns)}] is expected")
    return value


def named(kinds: Iterable[type[Row]], found: Iterable[Iterable[Any]]) -> tuple[Row, ...]:
    """Rows as named tuples of as many fields, each of its kind; without `_make`, which counts the fields of each again."""
    new: Callable[[type[Row], Iterable[Any]], Row] = tuple.__new__
    return tuple(map(new, kinds, found))


def integers(value: object) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise Invalid("an array of integers is expected")
    return tuple(value)


_NAMES: dict[object, tuple[str, ...]] = {}


def _names(kind: type[Message]) -> tuple[str, ...]:
    """The fields of a kind of message; asked for in every message, so remembered."""
    names = _NAMES.get(kind)
    if names is None:
        names = _NAMES[kind] = tuple(field.name for field in fields(kind))
    return names


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
        return {name: getattr(self, name) for name in _names(type(self))}

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
        return cls._from_values(_decoded(cbor.decode, data))

    @classmethod
    def _from_values(cls, values: Any) -> Self:
        """Consumes the decoded map."""
        if not isinstance(values, dict) or values.keys() != {"t", "v", *_names(cls)}:
            raise RemoteProtocolError(Fault.MALFORMED, f"these are not the fields of {cls.KIND}")
        if values.pop("t") != cls.KIND or values["v"] is True or values.pop("v") != VERSION:
            raise RemoteProtocolError(Fault.MALFORMED, f"this is not {cls.KIND} in version {VERSION}")
        try:
            return cls(**cls._unpack(values))
        except Invalid as error:
            raise RemoteProtocolError(error.fault, error.detail) from None
        except LocalProtocolError as error:
            raise RemoteProtocolError(error.reason, error.detail) from None


def shape(kind: str, **fields: Field) -> Shape:
    """The shape of a kind of message."""
    return Shape({"t": kind, "v": VERSION}, **fields)


@dataclass(frozen=True, kw_only=True)
class SignedMessage(Message):
    """A message with a `signature` over `LABEL ‖ 0x00 ‖ cbor(signed_body())`."""

    LABEL: ClassVar[bytes]
    SHAPE: ClassVar[Shape | None] = None
    """Of a kind that comes in numbers: how to read it without decoding. It is no wider than `_validate`, so what it reads is a
    valid message, and its values are the fields themselves."""

    signature: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises:
        RemoteProtocolError: the bytes are not this message.
        """
        found = cls.SHAPE.read(data) if cls.SHAPE else None
        if found is None:
            return super().from_bytes(data)
        values, places = found
        message = object.__new__(cls)
        message.__dict__.update(values)
        del places["signature"]
        message.__dict__["_signed_encoding"] = message._signed_parts(data, places)
        return message

    def signed_body(self) -> dict[str, Any]:
        """What the signature covers: every field but the signature, unless a message says otherwise."""
        body = self._pack()
        del body["signature"]
        return body

    def _signed_parts(self, data: bytes, places: dict[str, slice]) -> bytes:
        """The encoding of `signed_body`, from that of the message: a map without its kind, version and signature."""
        return cbor.head(cbor.MAP, len(places)) + b"".join([data[place] for place in places.values()])

    @classmethod
    def _signed(cls, private: Secret, **values: Any) -> Self:
        unsigned = cls(signature=bytes(signing.SIGNATURE_BYTES), **values)
        return cls(signature=signing.sign(private, cls.LABEL, unsigned.signed_body()), **values)

    def verify_by(self, public: bytes) -> None:
        """Raises:
        RemoteProtocolError: the signature is not the key's.
        """
        encoded = self.__dict__.pop("_signed_encoding", None) or cbor.encode(self.signed_body())
        verify_encoded(public, self.LABEL, encoded, self.signature)


T = TypeVar("T")


def _decoded(decode: Callable[[bytes], T], data: bytes) -> T:
    try:
        return decode(data)
    except CodecError as error:
        raise RemoteProtocolError(Fault.MALFORMED, str(error)) from None


def verify(public: bytes, label: bytes, body: Any, signature: bytes) -> None:
    """`signing.verify` in the protocol's own errors."""
    verify_encoded(public, label, cbor.encode(body), signature)


def verify_encoded(public: bytes, label: bytes, encoded: bytes, signature: bytes) -> None:
    try:
        signing.verify_encoded(public, label, encoded, signature)
    except BadKey as error:
        raise RemoteProtocolError(Fault.BAD_KEY, str(error)) from None
    except BadSignature as error:
        raise RemoteProtocolError(Fault.BAD_SIGNATURE, str(error)) from None
