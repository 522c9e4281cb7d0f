"""Keys of an edge, sealed shares, the escrow box, and the mask stream.

Edge: one X25519 (RFC 7748) and one HKDF-SHA256 (RFC 5869) with salt = round id and
info = `cssi/v1/edge ‖ 0x00 ‖ public key of the lower position ‖ public key of the higher position`, 80 bytes:
mask seed (16) ‖ share key lower → higher (32) ‖ share key higher → lower (32).
Every AES key here encrypts one thing once, so nonces and counters start at zero.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from aggregation.secagg.errors import Fault, LocalProtocolError, RemoteProtocolError
from aggregation.secagg.messages.phases import SECRET_BYTES
from aggregation.wire import x25519
from aggregation.wire.errors import BadKey
from aggregation.wire.secret import Secret

LABEL_EDGE = b"cssi/v1/edge\x00"
LABEL_ESCROW = b"cssi/v1/escrow\x00"
LABEL_COMMITMENT = b"cssi/v1/self-seed\x00"
BLOCK = 128 * 1024
"""Bytes in a block of `stream`: with as many words it fits the second-level cache, where what is done with it then happens."""
PIECE = 3 * BLOCK
"""The most bytes made at a time, and how many are where two threads add masks: with less of it they wait more often for
the interpreter's lock, and one thread is no faster."""
_ZEROS = memoryview(bytes(PIECE))
_ZERO_NONCE = bytes(12)
_UP, _DOWN = slice(16, 48), slice(48, 80)
"""Where the share keys are in an edge's material: lower → higher position, higher → lower."""


class Edge(Secret):
    """The secrets two neighbours have in common, seen from one of them, and erased together. Each raises ValueError once they are."""

    __slots__ = ("_own_is_lower",)

    def __init__(self, material: bytes, *, own_is_lower: bool) -> None:
        super().__init__(material)
        self._own_is_lower = own_is_lower

    @property
    def mask_seed(self) -> bytes:
        return self.reveal()[: _UP.start]

    @property
    def outgoing(self) -> bytes:
        """The key of the shares sent to the neighbour."""
        return self.reveal()[_UP if self._own_is_lower else _DOWN]

    @property
    def incoming(self) -> bytes:
        """The key of the shares that come from it."""
        return self.reveal()[_DOWN if self._own_is_lower else _UP]


_P = 2**255 - 19
SMALL_ORDER_8 = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
_SMALL_ORDER = frozenset(u.to_bytes(32, "little") for u in (0, 1, *SMALL_ORDER_8, _P - 1, _P, _P + 1))
"""Encodings of the points of order 1, 2, 4 and 8 on Curve25519 and its twist (RFC 7748 section 6.1): u is 0, 1, p − 1 or one of
two points of order 8, and the encodings p and p + 1 are read as 0 and 1."""


def check_public_key(public: bytes) -> None:
    """Refuse a key with which every shared secret is zero: it would make its neighbours fail instead of its owner.

    X25519 ignores the highest bit and multiplies by eight, so exactly these encodings give zero with every private key.

    Raises:
        RemoteProtocolError: the key is of small order.
    """
    if public[:31] + bytes((public[31] & 0x7F,)) in _SMALL_ORDER:
        raise RemoteProtocolError(Fault.BAD_KEY, "this is not a usable X25519 public key")


class RoundKey:
    """A wallet's X25519 key of one round."""

    def __init__(self, private: Secret) -> None:
        self._key = Secret(private.reveal())
        self.public = x25519.public_key(private.reveal())

    def agree(self, peer: bytes, *, own_is_lower: bool, salt: bytes) -> Edge:
        """The secrets with a neighbour.

        Args:
            peer: the neighbour's public key of this round.
            own_is_lower: whether our position is below the neighbour's.
            salt: the round id.

        Raises:
            RemoteProtocolError: the neighbour's key is unusable.
        """
        if self._key.erased:
            raise LocalProtocolError(Fault.CLOSED)
        try:
            shared = x25519.exchange(self._key.reveal(), peer)
        except BadKey as error:  # the all-zero result of a key of small order
            raise RemoteProtocolError(Fault.BAD_KEY, str(error)) from None
        lower, higher = (self.public, peer) if own_is_lower else (peer, self.public)
        material = _hkdf(shared, _DOWN.stop, salt, LABEL_EDGE + lower + higher)
        return Edge(material, own_is_lower=own_is_lower)

    def erase(self) -> None:
        """Write over the key."""
        self._key.erase()


def _hkdf(secret: bytes, length: int, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)


def seal_share(key: bytes, share: bytes, salt: bytes) -> bytes:
    """AES-256-GCM under a key of one direction and round; the round id is associated data."""
    return AESGCM(key).encrypt(_ZERO_NONCE, share, salt)


def open_share(key: bytes, ciphertext: bytes, salt: bytes) -> bytes | None:
    """The share, or None if its owner (or the server) sent something else: one bad share must not stop this wallet."""
    try:
        return AESGCM(key).decrypt(_ZERO_NONCE, ciphertext, salt)
    except InvalidTag:
        return None


def _escrow_cipher(kappa: bytes, owner: bytes, salt: bytes) -> AESGCM:
    return AESGCM(_hkdf(kappa, 32, salt, LABEL_ESCROW + owner))


def seal_escrow(kappa: Secret, mask_seeds: Iterable[bytes], *, owner: bytes, salt: bytes) -> bytes:
    """The escrow box: the owner's mask seeds by ascending neighbour, encrypted under its escrow key κ.

    Args:
        owner: the owner's job key.
        salt: the round id.
    """
    return _escrow_cipher(kappa.reveal(), owner, salt).encrypt(_ZERO_NONCE, b"".join(mask_seeds), salt)


def open_escrow(kappa: bytes, box: bytes, *, owner: bytes, salt: bytes, seeds: int) -> list[bytes] | None:
    """The mask seeds, or None if the box does not open or holds another number of seeds."""
    try:
        plaintext = _escrow_cipher(kappa, owner, salt).decrypt(_ZERO_NONCE, box, salt)
    except InvalidTag:
        return None
    if len(plaintext) != seeds * SECRET_BYTES:
        return None
    return [plaintext[i : i + SECRET_BYTES] for i in range(0, len(plaintext), SECRET_BYTES)]


def commit_self_seed(seed: bytes, *, owner: bytes, salt: bytes) -> bytes:
    """A commitment to b. It hides because b is uniform over 2^128 and used nowhere else."""
    return hashlib.sha256(LABEL_COMMITMENT + salt + owner + seed).digest()


def self_seed_fits(seed: bytes, commitment: bytes, *, owner: bytes, salt: bytes) -> bool:
    return hmac.compare_digest(commit_self_seed(seed, owner=owner, salt=salt), commitment)


def buffer(length: int, most: int = BLOCK) -> memoryview:
    """Where a mask of so many bytes is made, `most` at a time."""
    return memoryview(bytearray(min(most, length)))


def open_stream(seed: bytes, offset: int = 0) -> Callable[[memoryview], None]:
    """AES-128-CTR of zeros with a 16-byte counter from 0 (NIST SP 800-38A): a function that fills what it is given, at most PIECE
    bytes, with the next bytes of the stream.

    Args:
        offset: where in the stream to begin, a multiple of 16 bytes.
    """
    update_into = Cipher(algorithms.AES128(seed), _counting_from(offset // 16)).encryptor().update_into

    def fill(view: memoryview) -> None:
        update_into(_ZEROS[: len(view)], view)

    return fill


@lru_cache(maxsize=256)
def _counting_from(counter: int) -> modes.CTR:
    return modes.CTR(counter.to_bytes(16, "big"))


def stream(seed: bytes, length: int) -> Iterator[memoryview]:
    """The first `length` bytes of a stream, in blocks of at most BLOCK.

    Every block is a view of one buffer: use it before asking for the next.
    """
    fill, view = open_stream(seed), buffer(length)
    for start in range(0, length, BLOCK):
        block = view[: min(BLOCK, length - start)]
        fill(block)
        yield block
