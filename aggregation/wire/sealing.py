"""Sealing to a public key: ephemeral X25519 (RFC 7748), HKDF-SHA256 (RFC 5869), AES-256-GCM.

`sealed = ephemeral public key (32) ‖ ciphertext ‖ tag (16)`. Key and nonce both come from HKDF over the shared secret with
salt = ephemeral key ‖ recipient key and info = label, so a nonce is never chosen and never repeats under one key.
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
    ephemeral = rng(x25519.KEY_BYTES)
    public = x25519.public_key(ephemeral)
    key, nonce = _key_and_nonce(x25519.exchange(ephemeral, recipient), public, recipient, label)
    return public + AESGCM(key).encrypt(nonce, plaintext, None)


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
        if len(sealed) < OVERHEAD:
            raise SealError("the sealed body is too short")
        ephemeral, body = sealed[:32], memoryview(sealed)[32:]  # a masked input is large: not copied
        try:
            key, nonce = _key_and_nonce(self.secret_with(ephemeral), ephemeral, self.public, label)
            return AESGCM(key).decrypt(nonce, body, None)
        except (InvalidTag, BadKey) as error:
            raise SealError(_DOES_NOT_OPEN) from error

    def opening(self, label: bytes, ephemeral: bytes) -> Opening:
        """`unseal` piece by piece, of a body that begins with this ephemeral key.

        Raises:
            SealError: the key is unusable.
        """
        try:
            key, nonce = _key_and_nonce(self.secret_with(ephemeral), ephemeral, self.public, label)
        except BadKey as error:
            raise SealError(_DOES_NOT_OPEN) from error
        return Opening(Cipher(algorithms.AES256(key), modes.GCM(nonce)).decryptor())


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
