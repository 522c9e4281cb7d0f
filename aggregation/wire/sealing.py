"""Sealing to a public key: ephemeral X25519 (RFC 7748), HKDF-SHA256 (RFC 5869), AES-256-GCM.

`sealed = ephemeral public key (32) ‖ ciphertext ‖ tag (16)`. Key and nonce both come from HKDF over the shared secret with
salt = ephemeral key ‖ recipient key and info = label, so a nonce is never chosen and never repeats under one key.

A `Sealer` says several things in one order under one key, as a context of HPKE does (RFC 9180, section 5.2): the first as above, the
i-th after it (from 1) as ciphertext ‖ tag alone, its nonce the first one's XOR i. Only the recipient's end of it, an `Unsealer`,
opens them, in that order and without gaps.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import AEADDecryptionContext, Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from aggregation.wire import x25519
from aggregation.wire.errors import BadKey, SealError
from aggregation.wire.secret import Secret

Rng = Callable[[int], bytes]
KEY_BYTES, TAG_BYTES = 32, 16
OVERHEAD = KEY_BYTES + TAG_BYTES
"""Bytes that sealing adds: the ephemeral key before, the tag behind."""


def generate(rng: Rng) -> Secret:
    """A fresh X25519 private key, 32 bytes."""
    return Secret(rng(32))


def public_key(private: Secret) -> bytes:
    return x25519.public_key(private.reveal())


def shared_secret(private: Secret, public: bytes) -> bytes:
    """X25519, refusing keys of small order (whose shared secret is all zero).

    Raises:
        BadKey: the public key is unusable.
    """
    return x25519.exchange(private.reveal(), public)


def _key_and_nonce(shared: bytes, ephemeral: bytes, recipient: bytes, label: bytes) -> tuple[bytes, bytes]:
    material = HKDF(algorithm=hashes.SHA256(), length=44, salt=ephemeral + recipient, info=label).derive(
        shared
    )
    return material[:32], material[32:]


def seal(recipient: bytes, label: bytes, plaintext: bytes, rng: Rng) -> bytes:
    """Raises:
    BadKey: the recipient's key is unusable.
    """
    return Sealer(recipient, label, rng).seal(plaintext)


class _Counting:
    """A key with a nonce for every message."""

    __slots__ = ("_cipher", "_count", "_first")

    def __init__(self, key: bytes, nonce: bytes) -> None:
        self._cipher = AESGCM(key)
        self._first = int.from_bytes(nonce, "big")
        self._count = 0

    def next_nonce(self) -> bytes:
        nonce = (self._first ^ self._count).to_bytes(12, "big")
        self._count += 1
        return nonce


class Sealer(_Counting):
    """What one sender says to one recipient, in order.

    Raises:
        BadKey: the recipient's key is unusable.
    """

    __slots__ = ("_public",)

    def __init__(self, recipient: bytes, label: bytes, rng: Rng) -> None:
        ephemeral = rng(x25519.KEY_BYTES)
        self._public = x25519.public_key(ephemeral)
        shared = x25519.exchange(ephemeral, recipient)
        super().__init__(*_key_and_nonce(shared, self._public, recipient, label))

    def seal(self, plaintext: bytes) -> bytes:
        """The first time as `seal` does, then without the key in front."""
        public, self._public = self._public, b""
        return public + self._cipher.encrypt(self.next_nonce(), plaintext, None)


class Unsealer(_Counting):
    """The recipient's end of a `Sealer`. Made by `Recipient.unsealer`."""

    __slots__ = ()

    def unseal(self, sealed: bytes | memoryview) -> bytes:
        """The next thing said, `ciphertext ‖ tag`.

        Raises:
            SealError: it is not that, or was changed. The caller ends the line then.
        """
        try:
            return self._cipher.decrypt(self.next_nonce(), sealed, None)
        except (InvalidTag, ValueError) as error:
            raise SealError(_DOES_NOT_OPEN) from error


class Recipient:
    """An X25519 key pair; its public key is computed once, as a server opens many bodies with one key."""

    __slots__ = ("_private", "public")

    def __init__(self, private: Secret) -> None:
        self._private = Secret(private.reveal())
        self.public = x25519.public_key(private.reveal())

    def __repr__(self) -> str:
        return f"<Recipient {self.public.hex()[:8]}…>"

    def secret_with(self, public: bytes) -> bytes:
        """Raises:
        BadKey: the public key is unusable.
        """
        return x25519.exchange(self._private.reveal(), public)

    def unseal(self, label: bytes, sealed: bytes) -> bytes:
        """Raises:
        SealError: too short, sealed to another key or under another label, or changed.
        """
        return self.unsealer(label, sealed)[0]

    def unsealer(self, label: bytes, sealed: bytes) -> tuple[bytes, Unsealer]:
        """`unseal`, and what opens that which the same sender says next.

        Raises:
            SealError: as `unseal`.
        """
        if len(sealed) < OVERHEAD:
            raise SealError("the sealed body is too short")
        unsealer = Unsealer(*self._key_and_nonce(label, sealed[:32]))
        return unsealer.unseal(memoryview(sealed)[32:]), unsealer  # a masked input is large: not copied

    def opening(self, label: bytes, ephemeral: bytes) -> Opening:
        """`unseal` piece by piece, of a body that begins with this ephemeral key.

        Raises:
            SealError: the key is unusable.
        """
        key, nonce = self._key_and_nonce(label, ephemeral)
        return Opening(Cipher(algorithms.AES256(key), modes.GCM(nonce)).decryptor())

    def _key_and_nonce(self, label: bytes, ephemeral: bytes) -> tuple[bytes, bytes]:
        try:
            return _key_and_nonce(self.secret_with(ephemeral), ephemeral, self.public, label)
        except BadKey as error:
            raise SealError(_DOES_NOT_OPEN) from error


class Opening:
    """A sealed body that is opened piece by piece and in order, in place: a large one is never in memory as a whole.

    What is opened is not known to be genuine before `finish`; until then nothing may come of it that cannot be taken back.
    """

    __slots__ = ("_cipher",)

    def __init__(self, cipher: AEADDecryptionContext) -> None:
        self._cipher = cipher

    def next(self, piece: memoryview) -> None:
        """Open the next bytes of the ciphertext where they lie."""
        self._cipher.update_into(piece, piece)

    def finish(self, tag: bytes) -> None:
        """Raises:
        SealError: sealed to another key or under another label, or changed.
        """
        try:
            self._cipher.finalize_with_tag(tag)
        except (InvalidTag, ValueError) as error:
            raise SealError(_DOES_NOT_OPEN) from error


_DOES_NOT_OPEN = "the sealed body does not open with this key and label"


def unseal(private: Secret, label: bytes, sealed: bytes) -> bytes:
    """`Recipient.unseal` with a key used once.

    Raises:
        SealError: as there.
    """
    return Recipient(private).unseal(label, sealed)
