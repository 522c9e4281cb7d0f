"""The vectors around the round, replayed from the JSON alone."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from aggregation.privacy import noise, quantise
from collectives.terms.algorithm import LOSSES, OPS, OUTPUTS, TRAINED, layout, output_length, parse_manifest
from collectives.terms.canonical import canonical
from collectives.terms.envelope import SignedDocument
from collectives.terms.errors import TermsError
from collectives.terms.permit import Permit, Revocation

HERE = Path(__file__).parent


def load(name: str) -> Any:
    return json.loads((HERE / f"{name}.json").read_text("utf-8"))


def doubles(rows: list[str]) -> list[float]:
    return [struct.unpack(">d", bytes.fromhex(row))[0] for row in rows]


def test_the_quantiser_by_hand() -> None:
    data = load("quantiser")
    most = (1 << (data["q"] - 1)) - 1
    values = doubles(data["values_binary64_be"])
    for value, r, expected in zip(values, data["r_u32"], data["quantised"], strict=True):
        floor = math.floor(value * 2 ** data["f"] + r / 2**32)
        assert max(-most, min(most, floor)) == expected
    assert any(struct.pack(">d", value) == struct.pack(">d", -0.0) for value in values)
    assert any(0 < abs(value) < 2.3e-308 for value in values)
    for value in doubles(data["refused_binary64_be"]):
        with pytest.raises(ValueError, match="finite"):
            quantise.quantise(np.array([value]), fraction_bits=8, value_bits=8, rng=bytes)


def test_the_noise_by_hand() -> None:
    data = load("noise")
    table = [int(row, 16) for row in data["thresholds_u64_hex"]]
    for word, expected in zip(data["words_u64_hex"], data["samples"], strict=True):
        u = int(word, 16)
        above = sum(threshold <= u for threshold in table)
        assert data["smallest_k"] + above == expected
    sigma = data["sigma_micro"] / 1e6 * 2 ** data["f"]
    weights = {k: math.exp(-(k**2) / (2 * sigma**2)) for k in range(-60, 61)}
    running, total = 0.0, sum(weights.values())
    for k in range(data["smallest_k"], data["smallest_k"] + len(table)):
        running += weights[k] / total
        assert table[k - data["smallest_k"]] / 2**64 == pytest.approx(running, abs=1e-12)
    share = data["share_micro_of_clip_1_bucket_min_44"]
    assert share == math.ceil(100_000 / math.sqrt(44)) == noise.floor_share_micro(1_000_000, 44)


def test_the_rotation_by_hand() -> None:
    data = load("rotation")
    cipher = Cipher(algorithms.AES(bytes.fromhex(data["key"])), modes.CTR(bytes(16))).encryptor()
    stream, size = cipher.update(bytes(16)), 8
    assert data["key"] == hashlib.sha256(b"cssi/v1/rotation" + bytes.fromhex(data["seed"])).hexdigest()[:32]
    signs = [1 - 2 * (stream[i // 8] >> (i % 8) & 1) for i in range(size)]
    assert signs == data["signs"]
    values = [*doubles(data["update_binary64_be"]), 0.0, 0.0, 0.0]
    values = [sign * value for sign, value in zip(signs, values, strict=True)]
    for distance in (1, 2, 4):
        values = [
            values[i] + values[i + distance] if not i & distance else values[i - distance] - values[i]
            for i in range(size)
        ]
    assert [value / math.sqrt(size) for value in values] == doubles(data["rotated_binary64_be"])
    np.testing.assert_allclose(
        doubles(data["back_binary64_be"]), doubles(data["update_binary64_be"]), atol=1e-15
    )


def test_privacy_costs_by_hand() -> None:
    data = load("budget")
    for row in data["costs"]:
        rounding = math.sqrt(row["coordinates"]) * 10**6 / 2 ** row["f"]
        delta = row["clip_micro"] + math.ceil(rounding)
        cost = Fraction(10**6 * delta**2, 2 * row["wallets"] * row["noise_micro"] ** 2)
        assert row["rho_micro"] == math.ceil(cost)
    for row in data["epsilons"]:
        rho, lost = row["rho_micro"] / 1e6, row["delta_exponent"] * math.log(10)
        grid = [1 + 10 ** (i / 2000) for i in range(-8000, 14000)]
        best = min(rho * a + (lost + (a - 1) * math.log(1 - 1 / a) - math.log(a)) / (a - 1) for a in grid)
        assert row["epsilon"] == pytest.approx(max(0.0, best) if rho else 0.0, rel=1e-5, abs=1e-4)
    spent = {(row["rho_micro"], row["delta_exponent"]): row["epsilon"] for row in data["epsilons"]}
    limits = {row["epsilon"]: row["rho_micro"] for row in data["limits"]}
    assert spent[limits[3], 6] <= 3


def test_manifests() -> None:
    data = load("manifest")
    for row in data["accept"]:
        text = bytes.fromhex(row["canonical"])
        assert canonical(row["manifest"]) == text
        assert hashlib.sha256(text).hexdigest() == row["hash"] == parse_manifest(text).hash
        parsed = parse_manifest(row["manifest"])
        assert [list(cut) for cut in layout(parsed)] == row["layout"]
        assert output_length(parsed) == row.get("length", output_length(parsed))
    assert len(data["reject"]) >= 15
    for row in data["reject"]:
        with pytest.raises(TermsError) as caught:
            parse_manifest(row["manifest"])
        assert caught.value.code == row["code"], row["why"]


def test_gradients_and_other_answers() -> None:
    from collectives.training.net import compute_update

    data = load("gradients")
    assert len(data["nets"]) >= 11 and len(data["answers"]) >= 8
    for net in data["nets"] + data["answers"]:
        made = compute_update(
            parse_manifest(net["manifest"]),
            *(np.array(net[name], np.float32) for name in ("weights", "x", "y")),
            seed=bytes.fromhex(net.get("seed", "")),
        )
        np.testing.assert_allclose(made, net["update"], rtol=data["tolerance"], atol=data["tolerance"])
        assert np.abs(made).max() > 100 * data["tolerance"], net["name"]


def test_every_operator_loss_and_kind_has_a_vector() -> None:
    rows = [net["manifest"] for net in load("gradients")["nets"] + load("gradients")["answers"]]

    assert {layer["op"] for row in rows for layer in row.get("layers", ())} == set(OPS)
    assert {row["output"]["kind"] for row in rows} == set(OUTPUTS)
    assert {row["loss"] for row in rows if row["output"]["kind"] in TRAINED} == set(LOSSES)
    assert {row["loss"] for row in rows if row["output"]["kind"] == "evaluation"} == set(LOSSES)


def test_the_gradient_of_logistic_regression_by_hand() -> None:
    net = load("gradients")["nets"][0]
    w, x, y = (np.array(net[name]) for name in ("weights", "x", "y"))
    error = 1 / (1 + np.exp(-(x @ w[:4] + w[4]))) - y[:, 0]
    expected = np.append(error @ x, error.sum()) / len(x)
    np.testing.assert_allclose(net["update"], expected, atol=1e-6)


def test_documents_and_their_signatures() -> None:
    for row, form in zip(load("documents")["documents"], (Permit, Revocation), strict=True):
        envelope = row["envelope"]
        text = bytes.fromhex(row["canonical"])
        assert canonical(envelope["document"]) == text
        assert hashlib.sha256(text).hexdigest() == row["hash"]
        signed = bytes.fromhex(row["signed_bytes"])
        label = f"cssi/v1/{envelope['kind']}".encode() + b"\x00"
        assert signed == label + b"\xa1\x64hash\x58\x20" + bytes.fromhex(row["hash"])
        private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(row["private_key"]))
        assert private.sign(signed).hex() == envelope["signature"]
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(envelope["key"])).verify(
            private.sign(signed), signed
        )
        assert (
            SignedDocument.from_json(envelope).open(envelope["kind"], envelope["key"]) == envelope["document"]
        )
        assert form.parse(envelope["document"]).to_document() == envelope["document"]


def test_trees_by_the_definition_of_rfc_6962() -> None:
    data = load("merkle")
    leaves = [bytes.fromhex(leaf) for leaf in data["leaves"]]
    hashes = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves]
    assert [leaf.hex() for leaf in hashes] == data["leaf_hashes"]

    def root(part: list[bytes]) -> bytes:
        if len(part) == 1:
            return part[0]
        cut = 1 << (len(part) - 1).bit_length() - 1
        return hashlib.sha256(b"\x01" + root(part[:cut]) + root(part[cut:])).digest()

    def path(index: int, part: list[bytes]) -> list[bytes]:
        if len(part) == 1:
            return []
        cut = 1 << (len(part) - 1).bit_length() - 1
        if index < cut:
            return [*path(index, part[:cut]), root(part[cut:])]
        return [*path(index - cut, part[cut:]), root(part[:cut])]

    for tree in data["trees"]:
        part = hashes[: tree["size"]]
        assert root(part).hex() == tree["root"]
        for index, stated in enumerate(tree["paths"]):
            assert [item.hex() for item in path(index, part)] == stated
