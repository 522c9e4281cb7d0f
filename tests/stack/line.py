"""What stood on the line between wallets and servers: read as somebody there would, and opened with the aggregator's own key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aggregation.secagg.messages import MaskedInput, ShareKeys, Unmask
from aggregation.secagg.messages.codec import Message
from aggregation.wire import cbor, sealing
from aggregation.wire.secret import Secret
from marketplace.keys import read_key
from tests.stack.proxy import Conversation

SOCKET, SLOT = b"cssi/v1/round-socket", b"cssi/v1/slot"


@dataclass
class Opened:
    """The bodies that were sealed on the line, in clear."""

    plain: list[bytes] = field(default_factory=list)
    inputs: list[MaskedInput] = field(default_factory=list)
    sharings: list[ShareKeys] = field(default_factory=list)
    reveals: list[Unmask] = field(default_factory=list)


def sealing_key(folder: Path) -> Secret:
    """The aggregator's own: with it a test sees what was really sent."""
    return Secret(read_key(folder / "keys" / "aggregator-seal.key"))


def uploads(conversations: Iterable[Conversation]) -> Iterator[bytes]:
    """Bodies of `PUT /aggregator/slots/…`."""
    for talk in conversations:
        raw = bytes(talk.up)
        if talk.is_socket:
            continue
        at = 0
        while (head := raw.find(b"\r\n\r\n", at)) != -1:
            lines = raw[at:head].lower().split(b"\r\n")
            length = next((int(v[15:]) for v in lines if v.startswith(b"content-length:")), 0)
            body = raw[head + 4 : head + 4 + length]
            if lines[0].startswith(b"put /aggregator/slots/") and len(body) == length:
                yield body
            at = head + 4 + length


def frames_of_rounds(conversations: Iterable[Conversation]) -> Iterator[list[dict[str, Any]]]:
    """What each wallet sent on its round socket, as it stood on the line."""
    for talk in conversations:
        if talk.is_socket and talk.path.startswith("/ws/round/"):
            yield [dict(cbor.decode(frame)) for frame in talk.frames_up()]


def open_all(conversations: list[Conversation], key: Secret) -> Opened:
    found = Opened()
    for body in uploads(conversations):
        plain = sealing.unseal(key, SLOT, body)
        found.plain.append(plain)
        found.inputs.append(MaskedInput.from_bytes(plain))
    recipient = sealing.Recipient(key)
    for frames in frames_of_rounds(conversations):
        for plain in _opened(recipient, frames):
            found.plain.append(plain)
            message = cbor.decode(plain)
            if message["t"] == "secagg":
                _sort(found, message["m"])
    return found


def _opened(recipient: sealing.Recipient, frames: list[dict[str, Any]]) -> Iterator[bytes]:
    unsealer: sealing.Unsealer | None = None
    for frame in frames:
        if frame["t"] == "sealed":
            plain, unsealer = recipient.unsealer(SOCKET, frame["b"])
            yield plain
        else:
            assert unsealer is not None
            yield unsealer.unseal(frame["b"])


def _sort(found: Opened, body: bytes) -> None:
    kind = cbor.decode(body)["t"]
    into: dict[str, tuple[type[Message], list[Any]]] = {
        ShareKeys.KIND: (ShareKeys, found.sharings),
        Unmask.KIND: (Unmask, found.reveals),
    }
    if kind in into:
        message, place = into[kind]
        place.append(message.from_bytes(body))
