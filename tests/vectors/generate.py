"""Write the published test vectors: `python -m tests.vectors.generate`, or `--check` to compare with what is there.

Everything an implementation in another language needs is in the JSON: private keys, every draw of entropy in its order, every
message. Bytes are lowercase hex. `docs/protocol/secagg.md` has the formats.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from aggregation.secagg import masking, shamir, vectors
from aggregation.secagg.client import SecAggClient
from aggregation.secagg.messages import Advertise, log_leaf
from aggregation.secagg.messages.lists import lists_body, survivors_body
from aggregation.wire import cbor, merkle, sealing, signing
from aggregation.wire.secret import Secret
from tests.unit.secagg.pair import NOW, Entropy, Notes, Wire, distributor, header, job_key, member_log
from tests.vectors import documents
from tests.vectors.contracts import contract_vectors
from tests.vectors.decisions import decision_vectors
from tests.vectors.features import feature_vectors
from tests.vectors.headers import header_vectors
from tests.vectors.refusals import refusal_vectors
from tests.vectors.signatures import signature_vectors

HERE = Path(__file__).parent


def text(value: Any) -> Any:
    """The value with bytes as hex, for JSON."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: text(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [text(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value


class Recorder:
    """An `rng` that keeps what it gave."""

    def __init__(self, seed: object) -> None:
        self._source, self.draws = Entropy(seed), []

    def __call__(self, length: int) -> bytes:
        self.draws.append(self._source(length))
        return self.draws[-1]


def cbor_vectors() -> dict[str, Any]:
    from tests.unit.wire.test_cbor import REJECTED

    accepted: list[Any] = [
        0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**53 - 1, -1, -24, -25, -(2**53 - 1),
        "", "a", "ü", "a text of more than twenty-three bytes", [], [1, [2, [3]]], {}, True, False, None,
        {"b": 1, "aa": 2, "a": 3}, {"z": [], "longer key": {"x": None}},
    ]  # fmt: skip
    rows = [{"json": value, "hex": cbor.encode(value)} for value in accepted]
    rows.append({"json": {"bytes": "00ff"}, "hex": cbor.encode(b"\x00\xff"), "note": "a byte string"})
    short = {name: hexed for name, hexed in REJECTED.items() if len(hexed) < 200}
    return {"accept": rows, "reject": [{"why": name, "hex": hexed} for name, hexed in short.items()]}


def key_vectors() -> dict[str, Any]:
    from tests.unit.wire.test_sealing import LOW_ORDER
    from tests.unit.wire.test_signing import NOT_CANONICAL, RFC_8032, SMALL_ORDER

    return {
        "ed25519_reject": {"small order": SMALL_ORDER, "not canonical": NOT_CANONICAL},
        "ed25519_accept": [public for _, public in RFC_8032],
        "x25519_reject_all_zero_secret": LOW_ORDER,
        "ed25519_signatures": signature_vectors(
            Entropy("signer")(32), signing.signed_bytes(b"cssi/v1/vectors", {})
        ),
    }


def advertise_vectors() -> dict[str, Any]:
    head = header()
    seed, private = job_key(0), Secret(Entropy("x25519")(32))
    sender, public = signing.public_key(seed), sealing.public_key(private)
    message = Advertise.sign(seed, header=head.hash(), sender=sender, public_key=public)
    leaf = log_leaf(job=head.job, job_key=sender, expires=1_800_100_000)
    return {
        "header": head.to_bytes(),
        "header_hash": head.hash(),
        "job_key_seed": seed.reveal(),
        "job_key": sender,
        "x25519_private": private.reveal(),
        "x25519_public": public,
        "signed_bytes": signing.signed_bytes(Advertise.LABEL, message.signed_body()),
        "signature": message.signature,
        "message": message.to_bytes(),
        "log_leaf": leaf,
        "log_leaf_hash": merkle.leaf_hash(leaf),
    }


def derivation_vectors() -> dict[str, Any]:
    low, high = Secret(Entropy("low")(32)), Secret(Entropy("high")(32))
    salt, owner = header().hash(), signing.public_key(job_key(0))
    edge = masking.RoundKey(low).agree(sealing.public_key(high), own_is_lower=True, salt=salt)
    kappa, self_seed = Entropy("kappa")(16), Entropy("b")(16)
    share = bytes(range(32))
    seeds = [Entropy(("mask", i))(16) for i in range(3)]
    recipient = Secret(Entropy("recipient")(32))
    sealer = sealing.Sealer(sealing.public_key(recipient), b"cssi/v1/slot", Entropy("ephemeral"))
    return {
        "salt": salt,
        "edge": {
            "private_lower": low.reveal(),
            "private_higher": high.reveal(),
            "public_lower": sealing.public_key(low),
            "public_higher": sealing.public_key(high),
            "x25519": sealing.shared_secret(low, sealing.public_key(high)),
            "info": masking.LABEL_EDGE + sealing.public_key(low) + sealing.public_key(high),
            "mask_seed": edge.mask_seed,
            "share_key_lower_to_higher": edge.outgoing,
            "share_key_higher_to_lower": edge.incoming,
        },
        "share": {
            "plaintext": share,
            "key": edge.outgoing,
            "ciphertext": masking.seal_share(edge.outgoing, share, salt),
        },
        "escrow": {
            "kappa": kappa,
            "owner": owner,
            "info": masking.LABEL_ESCROW + owner,
            "key": masking._hkdf(kappa, 32, salt, masking.LABEL_ESCROW + owner),
            "mask_seeds": seeds,
            "box": masking.seal_escrow(Secret(kappa), seeds, owner=owner, salt=salt),
        },
        "commitment": {
            "b": self_seed,
            "owner": owner,
            "commitment": masking.commit_self_seed(self_seed, owner=owner, salt=salt),
        },
        "sealing": {
            "recipient_private": recipient.reveal(),
            "ephemeral_private": Entropy("ephemeral")(32),
            "label": "cssi/v1/slot",
            "plaintext": b"a masked input",
            "sealed": sealer.seal(b"a masked input"),
            "next": [
                {"plaintext": plain, "sealed": sealer.seal(plain)}
                for plain in (b"the second", b"", b"the fourth")
            ],
        },
    }


def stream_vectors() -> dict[str, Any]:
    seed, border = Entropy("prg")(16), masking.BLOCK
    made = b"".join(bytes(block) for block in masking.stream(seed, border + 32))
    words = np.frombuffer(made, dtype="<u4")
    head = header()
    return {
        "seed": seed,
        "block_bytes": border,
        "first_words_u32": words[:8],
        "first_words_u16": np.frombuffer(made[:16], dtype="<u2"),
        "words_before_border_u32": words[border // 4 - 4 : border // 4],
        "words_after_border_u32": words[border // 4 : border // 4 + 8],
        "encoding": {
            "header": head.to_bytes(),
            "update": [1, -2, 3, -4, 5],
            "words": vectors.encode_update(head, [1, -2, 3, -4, 5]),
        },
    }


def shamir_vectors() -> dict[str, Any]:
    secret, coefficients = bytes(range(1, 9)), bytes(range(101, 117))
    shares = shamir.split(secret, shares=5, threshold=3, rng=lambda n: coefficients[:n])
    return {
        "secret": secret,
        "threshold": 3,
        "coefficients": [coefficients[:8], coefficients[8:]],
        "shares": [{"x": x, "share": share} for x, share in enumerate(shares, start=1)],
    }


def merkle_vectors() -> dict[str, Any]:
    """RFC 6962 trees of 1 to 7 leaves: every root, every audit path."""
    leaves = [bytes([i]) * (i + 1) for i in range(7)]
    trees = []
    for size in range(1, 8):
        part = leaves[:size]
        paths = [merkle.inclusion_proof(part, index) for index in range(size)]
        trees.append({"size": size, "root": merkle.root(part), "paths": paths})
    return {"leaves": leaves, "leaf_hashes": [merkle.leaf_hash(leaf) for leaf in leaves], "trees": trees}


def round_vectors(*, n: int, gone: dict[str, list[int]], seed: str, **fields: Any) -> dict[str, Any]:
    """A whole round: keys, entropy, every message, the sums."""
    head = header(log=member_log(n), bucket_size=n, d=4, **fields)
    wire = Wire(head, n, seed=seed, gone=gone)
    recorders = [Recorder((seed, i)) for i in range(n)]
    wire.clients = [
        SecAggClient(head, job_key(i), rng=recorders[i], note_revealed=Notes(), verify_sample=None)
        for i in range(n)
    ]
    result = wire.run()
    bucket = wire.round.buckets[0]
    lists, statement = wire.round._roster, wire.round._statement
    assert lists is not None
    assert statement is not None
    return {
        "header": head.to_bytes(),
        "header_hash": head.hash(),
        "distributor_seed": distributor().reveal(),
        "now": NOW,
        "randomness": lists.lists.randomness,
        "wallets": [
            {
                "job_key_seed": job_key(i).reveal(),
                "job_key": wire.keys[i],
                "entropy": recorders[i].draws,
                "position": bucket.bucket.position(wire.keys[i]),
                "update": wire.updates[i],  # type: ignore[index]
                "silent_from": next((phase for phase, who in gone.items() if i in who), None),
            }
            for i in range(n)
        ],
        "enrolment_leaves": [log_leaf(job=head.job, job_key=key, expires=1_800_100_000) for key in wire.keys],
        "threshold": bucket.bucket.threshold,
        "lists_request": lists.request(),
        "lists_signed_body": cbor.encode(lists_body(head.hash(), 1, lists.lists.randomness, lists.root)),
        "survivors_request": statement.request(),
        "survivors_signed_body": cbor.encode(
            survivors_body(head.hash(), lists.root, 1, statement.body.tree.root, statement.body.total)
        ),
        "messages": {
            "advertise": wire.sent["advertise"],
            "advertise_list": {i: wire.lists[k] for i, k in enumerate(wire.keys) if k in wire.lists},
            "share_keys": wire.sent["share_keys"],
            "share_bundle": {i: wire.bundles[k] for i, k in enumerate(wire.keys) if k in wire.bundles},
            "masked_input": wire.sent["masked_input"],
            "survivors": wire.survivors[0],
            "consistency": wire.sent["consistency"],
            "consistency_set": {
                i: wire.agreements[k] for i, k in enumerate(wire.keys) if k in wire.agreements
            },
            "unmask": wire.sent["unmask"],
        },
        "count": result.sums[0].count,
        "sum": result.sums[0].sum,
    }


FILES: dict[str, Callable[[], dict[str, Any]]] = {
    "cbor": cbor_vectors,
    "keys": key_vectors,
    "advertise": advertise_vectors,
    "derivation": derivation_vectors,
    "stream": stream_vectors,
    "shamir": shamir_vectors,
    "features": feature_vectors,
    "quantiser": documents.quantiser_vectors,
    "noise": documents.noise_vectors,
    "rotation": documents.rotation_vectors,
    "budget": documents.budget_vectors,
    "manifest": documents.manifest_vectors,
    "gradients": documents.gradient_vectors,
    "contract": contract_vectors,
    "documents": documents.document_vectors,
    "decisions": decision_vectors,
    "merkle": merkle_vectors,
    "header": header_vectors,
    "refusals": refusal_vectors,
    "round-7-circulant-u16": lambda: round_vectors(
        n=7, gone={"masked_input": [2]}, seed="seven", graph="circulant", k=4, ring_bits=16, q=10
    ),
    "round-3": lambda: round_vectors(n=3, gone={}, seed="three"),
    "round-5-dropout": lambda: round_vectors(n=5, gone={"masked_input": [1]}, seed="dropout"),
    "round-5": lambda: round_vectors(n=5, gone={}, seed="five"),
}


def rendered(name: str) -> str:
    return json.dumps(text(FILES[name]()), indent=1, ensure_ascii=False) + "\n"


def same(name: str, there: str, made: str) -> bool:
    """Whether a file is what the generator writes. Gradients are compared within their tolerance: engines add in different orders."""
    if name != "gradients":
        return there == made
    old, new = json.loads(there), json.loads(made)
    updates = [[net.pop("update") for net in data["nets"] + data["answers"]] for data in (old, new)]
    close = all(
        np.allclose(*pair, rtol=new["tolerance"], atol=new["tolerance"])
        for pair in zip(*updates, strict=True)
    )
    return bool(old == new and close)


def main(arguments: list[str]) -> int:
    stale = []
    for name in FILES:
        path, made = HERE / f"{name}.json", rendered(name)
        if arguments == ["--check"]:
            stale += [] if same(name, path.read_text("utf-8"), made) else [name]
        else:
            path.write_text(made, "utf-8")
    if stale:
        sys.stderr.write(f"stale vectors: {', '.join(stale)}; run python -m tests.vectors.generate\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
