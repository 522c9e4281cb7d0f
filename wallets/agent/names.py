"""Job and collective ids: 16 bytes in signed tasks, text in JSON documents and in the store."""

from __future__ import annotations


def uuid_text(raw: bytes) -> str:
    """16 bytes as the usual text."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def uuid_bytes(text: str) -> bytes:
    """The 16 bytes of an id; ValueError when it is none."""
    return bytes.fromhex(text.replace("-", ""))
