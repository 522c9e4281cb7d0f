"""The wallet's side of one round, sans-IO. It defends itself: the server is not trusted with anything but delivery.

Order: `advertise` → `receive_list` → `receive_shares` → `mask` → `receive_survivors` → `receive_consistency`. Whatever fails, and
the end, erases the secrets and closes the machine; the phase table has no way back. What the server could ask for and is refused:
both secrets of one wallet (the answer is built from the survivor list, one kind per peer), two answers (the durable note), an
answer under two survivor lists (the neighbours' signatures), secrets of few wallets (minima and threshold), keys that are not
wallets' (signatures by job keys in the frozen log).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import numpy.typing as npt

from aggregation.secagg import masking, shamir, vectors
from aggregation.secagg.errors import Fault, LocalProtocolError, RemoteProtocolError
from aggregation.secagg.graph import Graph
from aggregation.secagg.messages import (
    Advertise,
    AdvertiseList,
    Consistency,
    ConsistencySet,
    EscrowShare,
    Evidence,
    Header,
    MaskedInput,
    Member,
    RevealedShare,
    SealedShare,
    SelfShare,
    ShareBundle,
    ShareKeys,
    Survivors,
    Unmask,
    log_leaf,
)
from aggregation.secagg.messages.codec import verify
from aggregation.secagg.messages.phases import SECRET_BYTES
from aggregation.secagg.phases import WALLET, Machine, WalletEvent, WalletPhase
from aggregation.wire import merkle, once, sealing, signing
from aggregation.wire.errors import BadProof
from aggregation.wire.once import Once
from aggregation.wire.secret import Secret

Rng = Callable[[int], bytes]
NoteRevealed = Callable[[bytes, int], bool]
T = TypeVar("T")
VERIFY_SAMPLE = 8


class SecAggClient:
    """One wallet in one round.

    Args:
        header: checked against the permit by the caller.
        job_key: the wallet's private job key; it belongs to the caller, and only the copy made of it is erased here.
        rng: cryptographic entropy, `rng(n)` gives n bytes.
        note_revealed: durably records (job, round) and returns True, or returns False if it was recorded before.
        verify_sample: how many neighbours, picked by this wallet, have signatures and log proofs verified; None for all.
        remembered: where wallets of one process remember what equal bytes said and whether equal signatures fit.
    """

    def __init__(
        self,
        header: Header,
        job_key: Secret,
        *,
        rng: Rng,
        note_revealed: NoteRevealed,
        verify_sample: int | None = VERIFY_SAMPLE,
        remembered: Once = once.always,
    ) -> None:
        self.header = header
        self._salt = header.hash()
        self._job_key = signing.expanded(job_key)
        self._job_public = signing.public_key(self._job_key)
        self._rng = rng
        self._note_revealed = note_revealed
        self._sample = verify_sample
        self._once = remembered
        self._machine = Machine(WALLET, WalletPhase.START)
        self._key: masking.RoundKey | None = None
        self._self_seed: Secret | None = None
        self._edges: dict[int, masking.Edge] = {}
        self._held, self._held_of = Secret(b""), array("I")  # shares end to end, and of which neighbours
        self._joined: tuple[int, ...] = ()

    @property
    def phase(self) -> WalletPhase:
        return self._machine.phase

    @property
    def closed(self) -> bool:
        return self.phase is WalletPhase.CLOSED

    def close(self) -> None:
        """Erase every secret of the round; nothing is answered any more. May be called again."""
        for edge in self._edges.values():
            edge.erase()
        for secret in (self._key, self._self_seed, self._job_key, self._held):
            if secret is not None:
                secret.erase()
        self._edges = {}
        self._key = self._self_seed = None
        self._machine.advance(WalletEvent.CLOSE)

    def advertise(self) -> bytes:
        """AdvertiseKeys: a fresh key, signed by the job key."""
        with self._step(WalletEvent.ADVERTISE, local=True):
            private = sealing.generate(self._rng)
            self._key = masking.RoundKey(private)
            private.erase()
            message = Advertise.sign(
                self._job_key, header=self._salt, sender=self._job_public, public_key=self._key.public
            )
            return message.to_bytes()

    def receive_list(self, data: bytes, *, now: int) -> bytes:
        """ShareKeys: check the bucket, agree on keys with every neighbour, share b and κ, lock the mask seeds away.

        Raises:
            RemoteProtocolError: the list is not one this wallet should trust; the client is closed.
        """
        with self._step(WalletEvent.LIST):
            members = self._once(("list", data), lambda: AdvertiseList.from_bytes(data))
            self._check_list(members, data, now)
            self._list = members
            self._graph = Graph(self.header, len(members.members))
            self._neighbours = self._graph.neighbours(self._position)
            self._check_evidence({item.position: item for item in members.evidence})
            return self._share().to_bytes()

    def receive_shares(self, data: bytes) -> None:
        """ShareKeys, second half: keep the neighbours' shares; joined neighbours are those to mask with."""
        with self._step(WalletEvent.BUNDLE):
            bundle = ShareBundle.from_bytes(data)
            self._check_round(bundle.header, bundle.bucket)
            self._check_joined(bundle)
            held = []
            for share in bundle.shares:
                opened = masking.open_share(self._edges[share.peer].incoming, share.ciphertext, self._salt)
                if opened is not None:
                    held.append(opened)
                    self._held_of.append(share.peer)
            self._held = Secret(b"".join(held))
            if len(held) < self._graph.threshold:
                raise RemoteProtocolError(Fault.TOO_FEW_SHARES, "too few neighbours' shares open")
            self._joined = bundle.joined

    def mask(self, update: npt.ArrayLike) -> bytes:
        """MaskedInput: y = update + PRG(b) ± Σ PRG(mask seeds) mod 2^R, once.

        Args:
            update: integers, shape (header.padded_d,), each within [−2^(q−1), 2^(q−1)).
        """
        with self._step(WalletEvent.MASK, local=True):
            words = vectors.encode_update(self.header, update)
            vectors.add_masks(words, self._masks())
            message = MaskedInput.sign(
                self._job_key, header=self._salt, sender=self._job_public, y=words.tobytes()
            )
            return message.to_bytes()

    def receive_survivors(self, data: bytes) -> bytes:
        """ConsistencyCheck: agree to one survivor list, if it contains this wallet and keeps both minima."""
        with self._step(WalletEvent.SURVIVORS):
            survivors = self._once(("survivors", data), lambda: Survivors.from_bytes(data))
            self._check_survivors(survivors, data)
            self._survivors = survivors
            message = Consistency.sign(
                self._job_key, header=self._salt, sender=self._job_public, survivors=survivors.digest()
            )
            return message.to_bytes()

    def receive_consistency(self, data: bytes) -> bytes:
        """Unmasking: once enough neighbours agreed on the same survivors, and after the durable note, one share per peer."""
        with self._step(WalletEvent.AGREEMENTS):
            self._check_agreements(ConsistencySet.from_bytes(data))
            message = Unmask.sign(
                self._job_key,
                header=self._salt,
                sender=self._job_public,
                survivors=self._survivors.digest(),
                shares=tuple(self._revealed()),
            )
            answer = message.to_bytes()
            if not self._note_revealed(self.header.job, self.header.round):
                raise LocalProtocolError(Fault.ALREADY_REVEALED)
        self.close()
        return answer

    @contextmanager
    def _step(self, event: WalletEvent, *, local: bool = False) -> Iterator[None]:
        """Move first, so that a failure half-way cannot be tried again; any failure closes."""
        try:
            (self._machine.advance if local else self._machine.receive)(event)
            yield
        except BaseException:
            self.close()
            raise

    def _check_round(self, header: bytes, bucket: int) -> None:
        if header != self._salt:
            raise RemoteProtocolError(Fault.WRONG_ROUND, "the message has another header")
        if bucket != self._list.bucket:
            raise RemoteProtocolError(Fault.WRONG_ROUND, "the message is for another bucket")

    def _check_list(self, members: AdvertiseList, data: bytes, now: int) -> None:
        if members.header != self._salt:
            raise RemoteProtocolError(Fault.WRONG_ROUND, "the list has another header")
        distributor = self.header.distributor_key
        self._once(("list signed", data, distributor), lambda: members.verify_by(distributor))
        assert self._key is not None
        own = [i for i, m in enumerate(members.members) if m.job_key == self._job_public]
        if not own or members.members[own[0]].public_key != self._key.public:
            raise RemoteProtocolError(Fault.NOT_LISTED)
        self._position = own[0]
        size = len(members.members)
        if size < self.header.bucket_min:
            raise RemoteProtocolError(Fault.TOO_FEW_MEMBERS)
        if size > self.header.largest_bucket:
            raise RemoteProtocolError(Fault.OUT_OF_RANGE, "the bucket is larger than the header allows")
        if any(member.expires <= now for member in members.members):
            raise RemoteProtocolError(Fault.EXPIRED)

    def _check_evidence(self, evidence: dict[int, Evidence]) -> None:
        """Signature and log proof of the neighbours this wallet picks; the server cannot know which."""
        for position in self._picked(self._neighbours):
            member, item = self._list.members[position], evidence.get(position)
            if item is None:
                raise RemoteProtocolError(Fault.BAD_PROOF, "a neighbour comes without evidence")
            # The header's hash stands for its job and its log, the member for its key, its expiry and its place in the log.
            known = ("evidence", self._salt, member, item)
            self._once(known, partial(self._check_one, member, item))

    def _check_one(self, member: Member, item: Evidence) -> None:
        leaf = log_leaf(job=self.header.job, job_key=member.job_key, expires=member.expires)
        try:
            merkle.verify_inclusion(
                leaf, member.index, self.header.log_size, item.proof, self.header.log_root
            )
        except BadProof as error:
            raise RemoteProtocolError(Fault.BAD_PROOF, str(error)) from None
        body = {"header": self._salt, "sender": member.job_key, "public_key": member.public_key}
        verify(member.job_key, Advertise.LABEL, body, item.signature)

    def _picked(self, items: Sequence[T]) -> list[T]:
        """A uniform sample without replacement (partial Fisher-Yates), or everything."""
        pool = list(items)
        if self._sample is None:
            return pool
        count = min(self._sample, len(pool))
        for i in range(count):
            j = i + int.from_bytes(self._rng(8), "little") % (len(pool) - i)
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:count]

    def _share(self) -> ShareKeys:
        assert self._key is not None
        members = self._list.members
        for peer in self._neighbours:
            self._edges[peer] = self._key.agree(
                members[peer].public_key, own_is_lower=self._position < peer, salt=self._salt
            )
        self._key.erase()
        self._self_seed = Secret(self._rng(SECRET_BYTES))
        kappa = Secret(self._rng(SECRET_BYTES))
        pieces = shamir.split(
            self._self_seed.reveal() + kappa.reveal(),
            shares=len(self._neighbours),
            threshold=self._graph.threshold,
            rng=self._rng,
        )
        sealed = tuple(
            SealedShare(peer=p, ciphertext=masking.seal_share(self._edges[p].outgoing, piece, self._salt))
            for p, piece in zip(self._neighbours, pieces, strict=True)
        )
        seeds = (self._edges[peer].mask_seed for peer in self._neighbours)
        escrow = masking.seal_escrow(kappa, seeds, owner=self._job_public, salt=self._salt)
        kappa.erase()
        seed = self._self_seed.reveal()
        return ShareKeys.sign(
            self._job_key,
            header=self._salt,
            sender=self._job_public,
            lists_root=self._list.root,
            shares=sealed,
            escrow=escrow,
            commitment=masking.commit_self_seed(seed, owner=self._job_public, salt=self._salt),
        )

    def _check_joined(self, bundle: ShareBundle) -> None:
        joined = set(bundle.joined)
        if (bundle.joined and bundle.joined[-1] >= self._graph.members) or self._position not in joined:
            raise RemoteProtocolError(
                Fault.STRANGER, "the joined wallets are not of this bucket, or lack this one"
            )
        if len(joined) < self.header.bucket_min:
            raise RemoteProtocolError(Fault.TOO_FEW_MEMBERS, "too few wallets shared their keys")
        expected = tuple(peer for peer in self._neighbours if peer in joined)
        if tuple(share.peer for share in bundle.shares) != expected:
            raise RemoteProtocolError(
                Fault.WRONG_SHARES, "shares must come from exactly the joined neighbours"
            )
        if len(expected) < self._graph.threshold:
            raise RemoteProtocolError(Fault.TOO_FEW_SHARES)

    def _masks(self) -> Iterator[tuple[bytes, int]]:
        assert self._self_seed is not None
        yield self._self_seed.reveal(), 1
        joined = set(self._joined)
        for peer in self._neighbours:
            if peer in joined:
                yield self._edges[peer].mask_seed, 1 if self._position < peer else -1

    def _check_survivors(self, survivors: Survivors, data: bytes) -> None:
        self._check_round(survivors.header, survivors.bucket)
        if survivors.lists_root != self._list.root or survivors.buckets != self._list.buckets:
            raise RemoteProtocolError(Fault.WRONG_LIST)
        distributor = self.header.distributor_key
        self._once(("survivors signed", data, distributor), lambda: survivors.verify_by(distributor))
        alive = set(survivors.positions)
        if self._position not in alive:
            raise RemoteProtocolError(Fault.NOT_A_SURVIVOR)
        if not alive.issubset(self._joined):
            raise RemoteProtocolError(Fault.NOT_A_SUBSET)
        if len(alive) < self.header.bucket_min:
            raise RemoteProtocolError(Fault.BELOW_BUCKET_MIN)
        if survivors.total < self.header.release_min:
            raise RemoteProtocolError(Fault.BELOW_RELEASE_MIN)
        if len(alive.intersection(self._neighbours)) < self._graph.threshold:
            raise RemoteProtocolError(Fault.TOO_FEW_SHARES, "too few neighbours survived")

    def _check_agreements(self, answer: ConsistencySet) -> None:
        self._check_round(answer.header, answer.bucket)
        if answer.survivors != self._survivors.digest():
            raise RemoteProtocolError(Fault.WRONG_LIST, "the agreements are about other survivors")
        alive = set(self._survivors.positions).intersection(self._neighbours)
        agreed = [item for item in answer.agreements if item.position in alive]
        if len(agreed) < self._graph.threshold:
            raise RemoteProtocolError(Fault.TOO_FEW_AGREE)
        for item in self._picked(agreed):
            key = self._list.members[item.position].job_key
            self._check_agreement(key, answer.survivors, item.signature)

    def _check_agreement(self, key: bytes, survivors: bytes, signature: bytes) -> None:
        body = {"header": self._salt, "sender": key, "survivors": survivors}
        known = ("agreement", self._salt, key, survivors, signature)
        self._once(known, lambda: verify(key, Consistency.LABEL, body, signature))

    def _revealed(self) -> Iterator[RevealedShare]:
        """For every joined neighbour whose share opened: of b if it survived, of κ if not, so never both and none of strangers."""
        alive, held = set(self._survivors.positions), self._held.reveal()
        for place, peer in enumerate(self._held_of):
            of_b = 2 * SECRET_BYTES * place
            of_kappa = of_b + SECRET_BYTES
            if peer in alive:
                yield SelfShare(owner=peer, share=held[of_b:of_kappa])
            else:
                yield EscrowShare(owner=peer, share=held[of_kappa : of_kappa + SECRET_BYTES])
