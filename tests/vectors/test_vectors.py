"""The published vectors: they are what the generator writes, and the code replays them from the JSON alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from aggregation.secagg import masking, shamir, vectors
from aggregation.secagg.client import SecAggClient
from aggregation.secagg.messages import (
    Advertise,
    AdvertiseList,
    Header,
    ListsRequest,
    MaskedInput,
    ShareKeys,
    Survivors,
    SurvivorsRequest,
    Unmask,
)
from aggregation.secagg.server import Accumulator, BucketServer
from aggregation.secagg.server.roster import Bucket
from aggregation.wire import cbor, merkle, sealing, signing
from aggregation.wire.errors import BadKey, BadSignature, CodecError
from aggregation.wire.secret import Secret
from tests.vectors import generate

HERE = Path(__file__).parent
b = bytes.fromhex


def load(name: str) -> Any:
    return json.loads((HERE / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize("name", generate.FILES)
def test_the_file_is_what_the_generator_writes(name: str) -> None:
    assert generate.same(name, (HERE / f"{name}.json").read_text("utf-8"), generate.rendered(name))


def test_no_file_is_left_over() -> None:
    assert {path.stem for path in HERE.glob("*.json")} == set(generate.FILES)


def test_cbor() -> None:
    data = load("cbor")
    for row in data["accept"]:
        value = b(row["json"]["bytes"]) if row.get("note") else row["json"]
        assert cbor.encode(value).hex() == row["hex"]
        assert cbor.decode(b(row["hex"])) == value
    for row in data["reject"]:
        with pytest.raises(CodecError):
            cbor.decode(b(row["hex"]))


def test_keys() -> None:
    data = load("keys")
    for key in (key for keys in data["ed25519_reject"].values() for key in keys):
        with pytest.raises(BadKey):
            signing.check_public_key(b(key))
    for key in data["ed25519_accept"]:
        signing.check_public_key(b(key))
    for key in data["x25519_reject_all_zero_secret"]:
        with pytest.raises(BadKey):
            sealing.shared_secret(Secret(b"\x01" * 32), b(key))


def test_signatures_that_engines_disagree_about() -> None:
    data = load("keys")["ed25519_signatures"]
    label, _, body = b(data["signed_bytes"]).partition(b"\x00")
    signing.verify_encoded(b(data["public"]), label, body, b(data["accept"]))
    for why, signature in data["reject"].items():
        with pytest.raises(BadSignature):
            signing.verify_encoded(b(data["public"]), label, body, b(signature))
        assert why


def test_advertise() -> None:
    data = load("advertise")
    head = Header.from_bytes(b(data["header"]))
    assert head.hash().hex() == data["header_hash"]
    message = Advertise.from_bytes(b(data["message"]))
    message.verify_by(b(data["job_key"]))
    assert message.signature.hex() == data["signature"]
    label, _, body = b(data["signed_bytes"]).partition(b"\x00")
    assert label == b"cssi/v1/advertise"
    assert cbor.decode(body) == {
        "header": head.hash(),
        "sender": b(data["job_key"]),
        "public_key": b(data["x25519_public"]),
    }
    assert signing.sign(Secret(b(data["job_key_seed"])), label, cbor.decode(body)).hex() == data["signature"]
    assert merkle.leaf_hash(b(data["log_leaf"])).hex() == data["log_leaf_hash"]


def test_derivation() -> None:
    data = load("derivation")
    edge, salt = data["edge"], b(data["salt"])
    higher = masking.RoundKey(Secret(b(edge["private_higher"])))
    seen = higher.agree(b(edge["public_lower"]), own_is_lower=False, salt=salt)
    assert seen.mask_seed.hex() == edge["mask_seed"]
    assert seen.incoming.hex() == edge["share_key_lower_to_higher"] == data["share"]["key"]
    assert seen.outgoing.hex() == edge["share_key_higher_to_lower"]
    assert masking.open_share(seen.incoming, b(data["share"]["ciphertext"]), salt) == b(
        data["share"]["plaintext"]
    )
    box = data["escrow"]
    opened = masking.open_escrow(b(box["kappa"]), b(box["box"]), owner=b(box["owner"]), salt=salt, seeds=3)
    assert opened == [b(seed) for seed in box["mask_seeds"]]
    kept = data["commitment"]
    assert masking.self_seed_fits(b(kept["b"]), b(kept["commitment"]), owner=b(kept["owner"]), salt=salt)
    sealed = data["sealing"]
    plain = sealing.unseal(
        Secret(b(sealed["recipient_private"])), sealed["label"].encode(), b(sealed["sealed"])
    )
    assert plain.hex() == sealed["plaintext"]
    recipient = sealing.Recipient(Secret(b(sealed["recipient_private"])))
    _, unsealer = recipient.unsealer(sealed["label"].encode(), b(sealed["sealed"]))
    assert [unsealer.unseal(b(said["sealed"])).hex() for said in sealed["next"]] == [
        said["plaintext"] for said in sealed["next"]
    ]


def test_stream() -> None:
    data = load("stream")
    ecb = Cipher(algorithms.AES128(b(data["seed"])), modes.ECB()).encryptor()

    def words(first_block: int, count: int) -> list[int]:
        raw = ecb.update(b"".join((first_block + i).to_bytes(16, "big") for i in range(count // 4)))
        return np.frombuffer(raw, "<u4").tolist()

    border = data["block_bytes"] // 16
    assert data["first_words_u32"] == words(0, 8)
    assert data["words_before_border_u32"] == words(border - 1, 4)
    assert data["words_after_border_u32"] == words(border, 8)
    encoding = data["encoding"]
    head = Header.from_bytes(b(encoding["header"]))
    assert vectors.encode_update(head, encoding["update"]).tolist() == encoding["words"]


def test_shamir() -> None:
    data = load("shamir")
    points = [(row["x"], b(row["share"])) for row in data["shares"]]
    assert shamir.combine(points[2:]) == b(data["secret"])
    draws = b("".join(data["coefficients"]))
    assert [s for _, s in points] == shamir.split(
        b(data["secret"]), shares=5, threshold=3, rng=lambda n: draws
    )


ROUNDS = ["round-3", "round-5", "round-5-dropout", "round-7-circulant-u16"]


class Draws:
    """The recorded entropy of a wallet, in order."""

    def __init__(self, draws: list[str]) -> None:
        self.left = [b(draw) for draw in draws]

    def __call__(self, length: int) -> bytes:
        draw = self.left.pop(0)
        assert len(draw) == length
        return draw


@pytest.mark.parametrize("name", ROUNDS)
def test_every_wallet_says_what_the_transcript_says(name: str) -> None:
    data = load(name)
    head, messages = Header.from_bytes(b(data["header"])), data["messages"]
    for i, wallet in enumerate(data["wallets"]):
        key, draws = str(i), Draws(wallet["entropy"])
        client = SecAggClient(
            head,
            Secret(b(wallet["job_key_seed"])),
            rng=draws,
            note_revealed=lambda *_: True,
            verify_sample=None,
        )
        assert client.advertise().hex() == messages["advertise"][key]
        answer = client.receive_list(b(messages["advertise_list"][key]), now=data["now"])
        assert answer.hex() == messages["share_keys"][key]
        assert not draws.left
        if wallet["silent_from"] == "masked_input":
            continue
        client.receive_shares(b(messages["share_bundle"][key]))
        assert client.mask(wallet["update"]).hex() == messages["masked_input"][key]
        assert client.receive_survivors(b(messages["survivors"])).hex() == messages["consistency"][key]
        answer = client.receive_consistency(b(messages["consistency_set"][key]))
        assert answer.hex() == messages["unmask"][key]
        assert client.closed


@pytest.mark.parametrize("name", ROUNDS)
def test_the_server_gets_the_sum_from_the_transcript(name: str) -> None:
    data = load(name)
    head, messages = Header.from_bytes(b(data["header"])), data["messages"]
    first = AdvertiseList.from_bytes(b(messages["advertise_list"]["0"]))
    bucket = Bucket(
        header=head,
        index=0,
        buckets=1,
        members=first.members,
        evidence=first.evidence,
        randomness=first.randomness,
        path=first.path,
        root=first.root,
        signature=first.signature,
    )
    server = BucketServer.restore(
        bucket, share_keys=[b(m) for m in messages["share_keys"].values()], trusted=False
    )
    bundles = server.close_shares()
    for i, expected in messages["share_bundle"].items():
        assert bundles[data["wallets"][int(i)]["position"]].hex() == expected
    for message in messages["masked_input"].values():
        server.receive_masked(b(message))
    survivors = Survivors.from_bytes(b(messages["survivors"]))
    assert server.close_inputs() == survivors.positions
    server.survivors_signed(survivors)
    for message in messages["consistency"].values():
        server.receive_consistency(b(message))
    server.close_consistency()
    for message in messages["unmask"].values():
        server.receive_unmask(b(message))
    result = server.finish()
    assert (result.sum.tolist(), result.count) == (data["sum"], data["count"])
    plain = [w["update"] for w in data["wallets"] if w["silent_from"] is None]
    assert np.sum(plain, axis=0).tolist() == data["sum"]


def test_the_distributor_signs_what_the_transcript_says() -> None:
    data = load("round-5-dropout")
    private = Secret(b(data["distributor_seed"]))
    lists = ListsRequest.from_bytes(b(data["lists_request"]))
    lists.check_assignment(Header.from_bytes(b(data["header"])))
    assert cbor.encode(lists.signed_body()).hex() == data["lists_signed_body"]
    first = AdvertiseList.from_bytes(b(data["messages"]["advertise_list"]["0"]))
    assert first.signature == lists.sign(private)
    survivors = SurvivorsRequest.from_bytes(b(data["survivors_request"]))
    assert cbor.encode(survivors.signed_body()).hex() == data["survivors_signed_body"]
    assert Survivors.from_bytes(b(data["messages"]["survivors"])).signature == survivors.sign(private)


def test_one_dropout_by_hand() -> None:
    """Unmask the recorded sum with nothing but the primitives: b of four survivors, κ and escrow box of the lost one."""
    data = load("round-5-dropout")
    head, wallets = Header.from_bytes(b(data["header"])), data["wallets"]
    keys = {
        m.sender.hex(): m
        for m in (ShareKeys.from_bytes(b(x)) for x in data["messages"]["share_keys"].values())
    }
    total = Accumulator(head)
    for message in data["messages"]["masked_input"].values():
        total.add(MaskedInput.from_bytes(b(message)).y)
    words = total.take()
    answers = {
        m.sender.hex(): m for m in (Unmask.from_bytes(b(x)) for x in data["messages"]["unmask"].values())
    }
    place = {wallet["job_key"]: wallet["position"] for wallet in wallets}
    for wallet in wallets:
        owner, own = wallet["position"], wallet["job_key"]
        points = []
        for sender, message in answers.items():
            x = place[sender] + (place[sender] < owner)  # 1-based rank among the owner's neighbours
            points += [(x, share.share) for share in message.shares if share.owner == owner]
        secret = shamir.combine(points[: data["threshold"]])
        if wallet["silent_from"] is None:
            vectors.add_mask(words, secret, -1)
            continue
        seeds = masking.open_escrow(secret, keys[own].escrow, owner=b(own), salt=head.hash(), seeds=4)
        assert seeds is not None
        for peer, seed in zip((p for p in range(5) if p != owner), seeds, strict=True):
            vectors.add_mask(words, seed, -1 if peer < owner else 1)
    assert words[:-2].view("<i4").tolist() == data["sum"]
    assert words[-2] == data["count"] == 4
