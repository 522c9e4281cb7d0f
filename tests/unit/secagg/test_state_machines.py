"""Oracles 5 and 6 as state machines: any order of messages, repetitions, crashes with what was stored, and forged variants.

`WalletMachine` plays a hostile world around one wallet: every message of two rounds in any order, crashes that keep the durable note
alone, restarts with fresh or with old entropy. `BucketMachine` plays a bucket at a server that loses its memory at any moment and comes
back from stored messages. Hypothesis looks for an order that breaks an invariant and shrinks it.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aggregation.secagg import vectors
from aggregation.secagg.client import SecAggClient
from aggregation.secagg.errors import Abort, AbortReason, Fault, ProtocolError, RemoteProtocolError
from aggregation.secagg.messages import EscrowShare, MaskedInput, SelfShare, Unmask
from aggregation.secagg.phases import BucketPhase, WalletPhase
from aggregation.secagg.server import BucketServer
from aggregation.wire.errors import WireError
from tests.unit.secagg.malicious import agreement_set, agrees, place, signed_survivors
from tests.unit.secagg.pair import NOW, Notes, Wire, client, header
from tests.unit.secagg.tamper import flipped

LONG = os.environ.get("CSSI_LONG") == "1"
RUNS = settings(
    max_examples=400 if LONG else 30,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
N = 5


@lru_cache(maxsize=2)
def world(number: int) -> Wire:
    """A round whose wallets 1 … 4 behave; wallet 0 is played by the machine with the same entropy as here."""
    head = header(bucket_size=N, bucket_min=3, release_min=3, round=number)
    return Wire(head, N, verify_sample=None).until("unmask")


def stories(w: Wire) -> list[tuple[bytes, bytes]]:
    """Two survivor statements and their agreements, all signed: everyone survived, and wallet 4 is lost."""
    lost = place(w, 4)
    both = [tuple(range(N)), tuple(p for p in range(N) if p != lost)]
    made = []
    for positions in both:
        data = signed_survivors(w, *positions)
        made.append((data, agreement_set(w, data, {place(w, i): agrees(w, i, data) for i in range(1, N)})))
    return made


ACTIONS = (
    "list",
    "bundle",
    "survivors 0",
    "survivors 1",
    "agreements 0",
    "agreements 1",
    "mask",
    "advertise",
)


class WalletMachine(RuleBasedStateMachine):
    """One wallet, a server that sends anything signed in any order, and a power switch."""

    @initialize()
    def start(self) -> None:
        self.notes = Notes()
        self.revealed: dict[int, list[bytes]] = {1: [], 2: []}
        self.masked: dict[int, list[bytes]] = {1: [], 2: []}
        self.boots = 0
        self._boot(1, old_entropy=True)

    def _boot(self, number: int, *, old_entropy: bool) -> None:
        self.number = number
        self.boots += 1
        self.masked_in_this_life = 0
        seed: object = 0 if old_entropy else ("boot", self.boots)
        self.wallet = client(world(number).head, 0, seed=seed, notes=self.notes, verify_sample=None)

    @rule(number=st.sampled_from([1, 2]), old_entropy=st.booleans())
    def crash_and_restart(self, number: int, old_entropy: bool) -> None:
        """All memory is lost but the durable note; a rolled-back wallet may even draw the same entropy again."""
        self._boot(number, old_entropy=old_entropy)

    @rule(
        action=st.sampled_from(ACTIONS),
        number=st.sampled_from([1, 1, 1, 2]),
        spoil=st.sampled_from([0] * 9 + [1]),
    )
    def send(self, action: str, number: int, spoil: int) -> None:
        before = self.wallet.phase
        try:
            self._act(action, number, spoil)
        except ProtocolError as error:
            assert isinstance(error.reason, Fault)
            assert self.wallet.closed, "a refusal ends the round for this wallet"
        else:
            assert self.wallet.phase is not before

    @rule(steps=st.integers(1, 6))
    def walk_on(self, steps: int) -> None:
        """The right messages in the right order, so that runs reach the end often enough."""
        following = {
            WalletPhase.START: "advertise",
            WalletPhase.ADVERTISED: "list",
            WalletPhase.SHARED: "bundle",
            WalletPhase.JOINED: "mask",
            WalletPhase.MASKED: "survivors 0",
            WalletPhase.AGREED: "agreements 0",
        }
        for _ in range(steps):
            if not self.wallet.closed:
                self.send(following[self.wallet.phase], self.number, 0)

    @rule()
    def crash_and_try_to_reveal_the_other_story(self) -> None:
        """The worst a server can hope for: the same wallet, rolled back, walked to the end under the other statement."""
        self._boot(1, old_entropy=True)
        for action in ("advertise", "list", "bundle", "mask", "survivors 1", "agreements 1"):
            self.send(action, 1, 0)

    def _act(self, action: str, number: int, spoil: int) -> None:
        w = world(number)
        change = flipped if spoil else bytes
        if action == "advertise":
            self.wallet.advertise()
        elif action == "mask":
            self.masked_in_this_life += 1
            self.masked[self.number].append(self.wallet.mask([1] * 5))
        elif action == "list":
            self.wallet.receive_list(change(w.lists[w.keys[0]]), now=NOW)
        elif action == "bundle":
            self.wallet.receive_shares(change(w.bundles[w.keys[0]]))
        elif action.startswith("survivors"):
            self.wallet.receive_survivors(change(stories(w)[int(action[-1])][0]))
        else:
            answer = self.wallet.receive_consistency(change(stories(w)[int(action[-1])][1]))
            self.revealed[self.number].append(answer)

    @invariant()
    def a_round_is_revealed_once_whatever_happened(self) -> None:
        for number, answers in self.revealed.items():
            assert len(answers) <= 1
            assert bool(answers) <= ((world(number).head.job, number) in self.notes.noted)

    @invariant()
    def never_both_secrets_of_a_peer(self) -> None:
        for answers in self.revealed.values():
            kinds: dict[int, set[type]] = {}
            for share in (s for data in answers for s in Unmask.from_bytes(data).shares):
                kinds.setdefault(share.owner, set()).add(type(share))
            assert all(len(found) == 1 for found in kinds.values())
            assert {kind for found in kinds.values() for kind in found} <= {SelfShare, EscrowShare}

    @invariant()
    def a_closed_wallet_holds_no_secret(self) -> None:
        if self.wallet.closed:
            assert self.wallet._key is None
            assert self.wallet._self_seed is None
            assert not self.wallet._edges
            assert not self.wallet._held

    @invariant()
    def one_life_masks_one_vector(self) -> None:
        if not self.wallet.closed:
            assert self.masked_in_this_life <= 1


class BucketMachine(RuleBasedStateMachine):
    """One bucket. `stored` is what its operator committed; memory is lost at any moment."""

    @initialize(seed=st.integers(0, 3))
    def start(self, seed: int) -> None:
        self.w = Wire(header(bucket_size=N, bucket_min=2, release_min=2), N, seed=seed).until("sign_lists")
        self.bucket = BucketServer(self.w.round.buckets[0].bucket)
        self.clients = dict(enumerate(self.w.clients))
        self.share_keys = {
            i: c.receive_list(self.w.lists[self.w.keys[i]], now=NOW) for i, c in self.clients.items()
        }
        self.stored: dict[str, Any] = {"share_keys": [], "consistencies": [], "unmasks": []}
        self.inputs: dict[int, bytes] = {}
        self.bundles: dict[int, bytes] = {}
        self.agreements: dict[int, bytes] = {}
        self.summed: set[int] = set()
        self.forgotten: set[int] = set()
        self.result: Any = None

    @rule()
    def crash_and_restore(self) -> None:
        if self.bucket.phase in (BucketPhase.DONE, BucketPhase.ABORTED):
            return
        before = (self.bucket.phase, self.bucket.included, self.bucket.accumulator)
        self.bucket = BucketServer.restore(self.bucket.bucket, **self.stored)
        self.forgotten = set(self.summed)
        assert (self.bucket.phase, self.bucket.included, self.bucket.accumulator) == before

    @rule(i=st.integers(0, N - 1), twice=st.booleans(), spoil=st.sampled_from([0] * 9 + [1]))
    def share(self, i: int, twice: bool, spoil: int) -> None:
        self._hear("share_keys", self.share_keys[i], BucketPhase.SHARE_KEYS, twice=twice, spoil=spoil)

    @rule(i=st.integers(0, N - 1), twice=st.booleans())
    def input(self, i: int, twice: bool) -> None:
        if i not in self.inputs and place(self.w, i) in self.bundles and not self.clients[i].closed:
            assert self.w.updates is not None
            self.clients[i].receive_shares(self.bundles[place(self.w, i)])
            self.inputs[i] = self.clients[i].mask(self.w.updates[i])
        if i not in self.inputs:
            return
        for _ in range(1 + twice):
            try:
                self.bucket.receive_masked(self.inputs[i])
            except RemoteProtocolError as error:
                assert error.reason in {Fault.OUT_OF_ORDER, Fault.STRANGER, Fault.DUPLICATE}
                assert error.reason is not Fault.DUPLICATE or i in self.forgotten
            else:
                self.summed.add(i)
                self.stored |= {"included": self.bucket.included, "accumulator": self.bucket.accumulator}

    @rule(i=st.integers(0, N - 1), twice=st.booleans())
    def agree(self, i: int, twice: bool) -> None:
        survivors = self.stored.get("survivors")
        wallet = self.clients[i]
        if survivors is None or wallet.phase is not WalletPhase.MASKED or i not in self.summed:
            return
        try:
            data = wallet.receive_survivors(survivors.to_bytes())
        except RemoteProtocolError:
            return
        self._hear("consistencies", data, BucketPhase.CONSISTENCY, twice=twice, spoil=0)

    @rule(i=st.integers(0, N - 1), twice=st.booleans())
    def reveal(self, i: int, twice: bool) -> None:
        data = self.agreements.get(place(self.w, i))
        if data is None or self.clients[i].phase is not WalletPhase.AGREED:
            return
        self._hear(
            "unmasks", self.clients[i].receive_consistency(data), BucketPhase.UNMASK, twice=twice, spoil=0
        )

    @rule(count=st.integers(3, N), phases=st.integers(1, 5), twice=st.booleans())
    def walk_on(self, count: int, phases: int, twice: bool) -> None:
        """So many wallets do what the running phase asks for and the operator closes it, so that runs reach the end."""
        for _ in range(phases):
            step, close = {
                BucketPhase.SHARE_KEYS: (lambda i: self.share(i, twice, 0), self.close_shares),
                BucketPhase.MASKED_INPUT: (lambda i: self.input(i, twice), self.close_inputs),
                BucketPhase.WAITING: (lambda i: None, self.sign),
                BucketPhase.CONSISTENCY: (lambda i: self.agree(i, twice), self.close_agreements),
                BucketPhase.UNMASK: (lambda i: self.reveal(i, twice), self.finish),
            }.get(self.bucket.phase, (lambda i: None, lambda: None))
            for i in range(count):
                step(i)
            close()

    def _hear(self, kind: str, data: bytes, phase: BucketPhase, *, twice: bool, spoil: int) -> None:
        receive = {
            "share_keys": self.bucket.receive_share_keys,
            "consistencies": self.bucket.receive_consistency,
            "unmasks": self.bucket.receive_unmask,
        }[kind]
        for _ in range(1 + twice):
            try:
                receive(flipped(data) if spoil else data)
            except RemoteProtocolError as error:
                assert spoil or self.bucket.phase is not phase, error
            else:
                assert self.bucket.phase is phase
                if data not in self.stored[kind]:
                    self.stored[kind].append(data)

    @precondition(lambda self: len(self.stored["share_keys"]) >= 3)
    @rule()
    def close_shares(self) -> None:
        self.bundles |= self._close(self.bucket.close_shares, BucketPhase.SHARE_KEYS) or {}
        if self.bundles:
            self.stored["joined"] = self.bucket.joined

    @precondition(lambda self: len(self.summed) >= 2)
    @rule()
    def close_inputs(self) -> None:
        if self._close(self.bucket.close_inputs, BucketPhase.MASKED_INPUT) is not None:
            self.stored["closed_inputs"] = True

    @rule()
    def sign(self) -> None:
        if self.bucket.phase is BucketPhase.WAITING:
            from aggregation.secagg.messages import Survivors

            survivors = Survivors.from_bytes(signed_survivors(self.w, *self.bucket.included))
            self.bucket.survivors_signed(survivors)
            self.stored["survivors"] = survivors

    @precondition(lambda self: len(self.stored["consistencies"]) >= 3)
    @rule()
    def close_agreements(self) -> None:
        made = self._close(self.bucket.close_consistency, BucketPhase.CONSISTENCY)
        if made is not None:
            self.agreements, self.stored["closed_consistency"] = made, True

    def _close(self, step: Any, phase: BucketPhase) -> Any:
        """Closing in another phase is our own mistake; closing with too few ends the bucket with a named reason."""
        right = self.bucket.phase is phase
        try:
            return step()
        except Abort as abort:
            assert right
            assert isinstance(abort.reason, AbortReason)
            assert self.bucket.phase is BucketPhase.ABORTED
        except ProtocolError as error:
            assert not right
            assert error.reason is Fault.OUT_OF_ORDER
        return None

    @precondition(lambda self: len(self.stored["unmasks"]) >= 2)
    @rule()
    def finish(self) -> None:
        result = self._close(self.bucket.finish, BucketPhase.UNMASK)
        if result is not None:
            self.result = result

    @invariant()
    def what_comes_out_is_the_sum_of_exactly_the_stored_inputs(self) -> None:
        if getattr(self, "result", None) is not None:
            assert self.w.updates is not None
            assert self.result.count == len(self.summed)
            np.testing.assert_array_equal(self.result.sum, self.w.updates[sorted(self.summed)].sum(axis=0))

    @invariant()
    def the_running_sum_is_the_sum_of_what_was_accepted(self) -> None:
        bucket = getattr(self, "bucket", None)
        if bucket is None or bucket.phase in (BucketPhase.DONE, BucketPhase.ABORTED):
            return
        words = np.zeros(self.w.head.words, dtype=vectors.word_type(self.w.head))
        for i in self.summed:
            words += np.frombuffer(MaskedInput.from_bytes(self.inputs[i]).y, dtype=words.dtype)
        assert bucket.accumulator == words.tobytes()

    @invariant()
    def an_end_keeps_nothing(self) -> None:
        bucket = getattr(self, "bucket", None)
        if bucket is not None and bucket.phase in (BucketPhase.DONE, BucketPhase.ABORTED):
            assert not (bucket._share_keys or bucket._consistencies or bucket._unmasks)
            assert not bucket._accumulator.words.size


TestWalletMachine = pytest.mark.timeout(600)(WalletMachine.TestCase)
TestWalletMachine.settings = RUNS
TestBucketMachine = pytest.mark.timeout(600)(BucketMachine.TestCase)
TestBucketMachine.settings = RUNS


def test_the_machines_can_reach_their_ends() -> None:
    """A machine that never gets anywhere finds nothing: the straight paths end with an answer and with a sum."""
    wallet = WalletMachine()
    wallet.start()
    wallet.walk_on(6)
    assert len(wallet.revealed[1]) == 1
    wallet.crash_and_restart(1, True)
    wallet.walk_on(6)
    wallet.crash_and_try_to_reveal_the_other_story()
    assert len(wallet.revealed[1]) == 1
    assert isinstance(wallet.wallet, SecAggClient)
    bucket = BucketMachine()
    bucket.start(0)
    for _ in range(5):
        bucket.walk_on(N, 1, True)
        bucket.crash_and_restore()
    bucket.what_comes_out_is_the_sum_of_exactly_the_stored_inputs()
    assert bucket.result.count == N
    assert issubclass(ProtocolError, WireError)
