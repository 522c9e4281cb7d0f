"""The tab and the reference asked the same random questions: the same bytes, the same refusals, gradients within 1e-6 of torch."""

from __future__ import annotations

import copy
import itertools
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from aggregation.privacy import clipping, noise
from aggregation.secagg import messages
from aggregation.secagg.errors import ProtocolError
from aggregation.wire import cbor
from aggregation.wire.errors import CodecError
from collectives.terms.algorithm import LOSSES, OPS, output_length, parameter_count, parse_manifest
from collectives.terms.canonical import canonical, parse_json
from collectives.terms.errors import TermsError
from collectives.training.features import Encoder, input_width, target_width
from collectives.training.init import uniform
from collectives.training.net import compute_update
from tests.unit.secagg.pair import header
from tests.unit.tab.node import Script
from tests.vectors import features as feature_cases
from tests.vectors.algorithms import EXAMPLES
from tests.vectors.test_vectors import load
from wallets.agent import output

CLASSES = {
    "header": messages.Header,
    "enrolment": messages.Enrolment,
    "advertise": messages.Advertise,
    "advertise-list": messages.AdvertiseList,
    "share-keys": messages.ShareKeys,
    "share-bundle": messages.ShareBundle,
    "masked-input": messages.MaskedInput,
    "survivors": messages.Survivors,
    "consistency": messages.Consistency,
    "consistency-set": messages.ConsistencySet,
    "unmask": messages.Unmask,
}


@pytest.fixture
async def tab() -> AsyncIterator[Script]:
    async with Script("compute") as started:
        yield started


def transcript() -> list[tuple[str, bytes]]:
    """(kind, message) of a published round: one of each kind."""
    data = load("round-3")
    found = [("header", bytes.fromhex(data["header"]))]
    for kind, by_wallet in data["messages"].items():
        first = by_wallet if isinstance(by_wallet, str) else by_wallet["0"]
        found.append((kind.replace("_", "-"), bytes.fromhex(first)))
    return found


async def test_changed_bytes_are_refused_or_read_alike(tab: Script) -> None:
    draws, seen = random.Random(1), set()
    for _ in range(300):
        data = bytearray(draws.choice(transcript())[1])
        for _ in range(draws.choice((1, 1, 2))):
            at = draws.randrange(min(len(data), 120))
            if draws.random() < 0.7:
                data[at] = draws.randrange(256)
            elif draws.random() < 0.5:
                del data[at]
            else:
                data.insert(at, draws.randrange(256))
        try:
            expected: Any = cbor.encode(cbor.decode(bytes(data))).hex()
        except CodecError:
            expected = "malformed"
        said = await tab.ask("cbor", data=data.hex())
        assert (said["error"] if isinstance(said, dict) else said) == expected, data.hex()
        seen.add(expected == "malformed")
    assert seen == {True, False}


ODD: list[Any] = [None, True, "", "x", b"", bytes(31), bytes(32), bytes(64), [], [[]], [0], [1, 0], {}, -1, 0, 1, 2, 77, 1 << 20, (1 << 20) + 1, 1 << 41]  # fmt: skip


def one_thing_changed(value: Any, draws: random.Random) -> Any:
    """A copy with one place of it replaced, dropped or doubled."""
    if isinstance(value, dict) and value and draws.random() < 0.9:
        changed = dict(value)
        key = draws.choice(list(value))
        if draws.random() < 0.05:
            del changed[key]
        else:
            changed[key] = one_thing_changed(value[key], draws)
        return changed
    if isinstance(value, list) and value and draws.random() < 0.8:
        items = list(value)
        at = draws.randrange(len(items))
        items[at : at + 1] = draws.choice(([], [items[at]] * 2, [one_thing_changed(items[at], draws)]))
        return items
    return draws.choice(ODD)


async def test_a_changed_field_is_refused_with_the_same_code(tab: Script) -> None:
    draws, codes = random.Random(2), set()
    for _ in range(400):
        kind, data = draws.choice(transcript())
        changed = cbor.encode(one_thing_changed(cbor.decode(data), draws))
        try:
            expected = CLASSES[kind].from_bytes(changed).to_bytes().hex()
        except ProtocolError as error:
            expected = error.code
            codes.add(error.code)
        said = await tab.ask("message", kind=kind, data=changed.hex())
        assert (said["error"] if isinstance(said, dict) else said) == expected, (kind, changed.hex())
    assert codes == {"malformed", "out_of_range", "duplicate"}


def json_value(draws: random.Random, depth: int = 3) -> Any:
    if depth and draws.random() < 0.5:
        names = draws.sample(
            ["a", "b", "é", "z", "\U0001f600", "￿", "10", "9", "__proto__"], draws.randrange(5)
        )
        items = [json_value(draws, depth - 1) for _ in names]
        return dict(zip(names, items, strict=True)) if draws.random() < 0.5 else items
    return draws.choice([0, -1, 2**53 - 1, 2**53, 1.5, -0.0, 1e21, 1e-7, 123456789.123, "", "\u0000\n\"\\/", "ü€", None, True, False])  # fmt: skip


async def test_json_has_one_form(tab: Script) -> None:
    draws = random.Random(3)
    texts = [json.dumps(json_value(draws), ensure_ascii=draws.random() < 0.5) for _ in range(150)]
    for text in ['{"a":1,"\\u0061":2}', "[NaN]", "[1,]", "01", '"\\ud800"', "[" * 33 + "]" * 33, "\ufeff1", "1 2", '"\t"', '{"a":{"b":[{}]}}', '["a:b", "{"]', "[1e400]"]:  # fmt: skip
        texts.append(text)
    for text in texts:
        try:
            expected = canonical(parse_json(text)).hex()
        except TermsError as error:
            expected = error.code
        said = await tab.ask("json", text=text)
        assert (said["error"] if isinstance(said, dict) else said) == expected, text


async def test_a_changed_manifest_is_read_or_refused_alike(tab: Script) -> None:
    draws, accepted = random.Random(4), 0
    odd = [
        0,
        1,
        -1,
        2,
        64,
        65,
        4096,
        4097,
        1.0,
        0.5,
        True,
        "",
        "x",
        None,
        [],
        {},
        "relu",
        "mean",
        "ab" * 32,
        2**53,
    ]
    for _ in range(400):
        document = copy.deepcopy(draws.choice(list(EXAMPLES.values())))
        place: Any = document
        while True:
            key = draws.choice(list(place)) if isinstance(place, dict) else draws.randrange(len(place))
            if isinstance(place[key], dict | list) and place[key] and draws.random() < 0.8:
                place = place[key]
                continue
            break
        if draws.random() < 0.2:
            del place[key]
        else:
            place[key] = draws.choice(odd)
        text = json.dumps(document)
        try:
            manifest = parse_manifest(text)
            expected: Any = [parameter_count(manifest), output_length(manifest)]
            accepted += 1
        except TermsError as error:
            expected = error.code
        said = await tab.ask("manifest", text=text)
        assert (said["error"] if isinstance(said, dict) else said) == expected, text
    assert 40 < accepted < 360


def net(draws: random.Random) -> dict[str, Any]:
    """A random algorithm that learns."""
    width, layers = draws.randint(1, 12), []
    out = draws.randint(1, 4)
    first = draws.choice(("linear", "random", "embedding"))
    if first == "embedding":
        at = draws.randrange(width)
        columns = draws.randint(1, width - at)
        layers.append(
            {"op": "embedding", "blocks": [{"at": at, "columns": columns, "out": draws.randint(1, 5)}]}
        )
    if first == "random":
        layers.append({"op": "random", "out": draws.randint(1, 9), "seed": draws.randbytes(32).hex()})
    for _ in range(draws.randint(0, 4)):
        choices = [
            {"op": "linear", "out": draws.randint(4, 9), "bias": draws.random() < 0.5},
            {"op": "dropout", "rate_micro": draws.randint(0, 900_000)},
            *({"op": op} for op in ("relu", "tanh", "sigmoid")),
        ]
        if (
            layers and layers[-1].get("out", 0) >= 4
        ):  # over fewer values it multiplies what torch rounds by hundreds
            choices.append({"op": "layernorm"})
        layers.append(draws.choice(choices))
    layers.append({"op": "linear", "out": out, "bias": draws.random() < 0.7})
    kind = draws.choice(("gradient", "delta"))
    return {
        "version": 1,
        "name": "m",
        "purpose": "p",
        "inputs": ["a"],
        "target": ["b"],
        "width_in": width,
        "width_out": out,
        "layers": layers,
        "loss": draws.choice(("mse", "bce-with-logits", "softmax-cross-entropy")),
        "training": {
            "learning_rate_micro": 100_000,
            "steps": 1 if kind == "gradient" else draws.randint(1, 4),
        },
        "output": {"kind": kind, "clip_micro": 1_000_000},
    }


async def test_random_nets_give_torchs_gradients(tab: Script) -> None:
    draws = random.Random(6)
    for _ in range(40):
        document, seed = net(draws), draws.randbytes(32)
        manifest = parse_manifest(document)
        records = draws.randint(1, 5)
        weights = uniform(draws.randbytes(16), parameter_count(manifest), 1.2)
        x = uniform(draws.randbytes(16), records * manifest.width_in, 1.0).reshape(records, -1)
        classes = manifest.loss.startswith("softmax")
        answers = records if classes else records * manifest.width_out
        y = np.array([draws.randrange(manifest.width_out if classes else 2) for _ in range(answers)], "<f4")
        y = y.reshape(records, -1)
        expected = compute_update(manifest, weights, x, y, seed)
        said = await tab.ask(
            "update",
            manifest=document,
            weights=weights.tobytes().hex(),
            x=x.tobytes().hex(),
            y=y.tobytes().hex(),
            seed=seed.hex(),
        )
        found = np.frombuffer(bytes.fromhex(said), "<f4")
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=json.dumps(document))


WIDTH, RECORDS = 24, 3
BEFORE: dict[str, list[dict[str, Any]]] = {
    "linear": [],
    "embedding": [
        {"op": "embedding", "blocks": [{"at": 2, "columns": 9, "out": 4}, {"at": 15, "columns": 5, "out": 3}]}
    ],
    "random": [{"op": "random", "out": 12, "seed": "5a" * 32}],
    "layernorm": [{"op": "linear", "out": 12, "bias": True}, {"op": "layernorm"}],
    "dropout": [{"op": "linear", "out": 12, "bias": True}, {"op": "dropout", "rate_micro": 400_000}],
    **{op: [{"op": "linear", "out": 12, "bias": True}, {"op": op}] for op in ("relu", "tanh", "sigmoid")},
}


async def test_every_operator_of_the_catalogue_gives_torchs_gradient(tab: Script) -> None:
    """Within 10⁻⁶ of the largest number of the gradient, for every operator and every loss."""
    assert set(BEFORE) == set(OPS)
    draws = random.Random(11)
    for (op, layers), loss in itertools.product(BEFORE.items(), LOSSES):
        document = {
            **EXAMPLES["sigmoid"],
            "width_in": WIDTH,
            "width_out": 4,
            "layers": [*layers, {"op": "linear", "out": 4, "bias": True}],
            "loss": loss,
            "training": {"learning_rate_micro": 100_000, "steps": 1},
            "output": {"kind": "gradient", "clip_micro": 1_000_000},
        }
        manifest, seed = parse_manifest(document), draws.randbytes(32)
        weights = uniform(draws.randbytes(16), parameter_count(manifest), 0.8)
        x = uniform(draws.randbytes(16), RECORDS * WIDTH, 1.0).reshape(RECORDS, -1)
        answers = RECORDS if loss.startswith("softmax") else RECORDS * 4
        y = np.array([draws.randrange(2) for _ in range(answers)], "<f4").reshape(RECORDS, -1)
        expected = compute_update(manifest, weights, x, y, seed)
        said = await tab.ask(
            "update",
            manifest=document,
            weights=weights.tobytes().hex(),
            x=x.tobytes().hex(),
            y=y.tobytes().hex(),
            seed=seed.hex(),
        )
        found = np.frombuffer(bytes.fromhex(said), "<f4")
        assert np.max(np.abs(expected)) > 0.01, (op, loss)
        assert np.max(np.abs(found - expected)) <= 1e-6 * max(1.0, np.max(np.abs(expected))), (op, loss)


async def test_random_records_become_the_same_float32(tab: Script) -> None:
    draws = random.Random(7)
    requirement = {
        "type": "object",
        "additionalProperties": False,
        "required": ["age", "skills", "town", "ill"],
        "properties": {
            "age": {"type": "number", "minimum": 0, "maximum": 99, "x-feature": {"encode": "number", "bins": [18, 40.5]}},
            "gain": {"type": "number", "minimum": 0, "maximum": 1e5, "x-feature": {"encode": "number", "transform": "log1p"}},
            "town": {"type": "string", "enum": ["n", "s"], "x-feature": {"encode": "one-hot", "unlisted_to": "s"}},
            "skills": feature_cases._skills(),
            "ill": {"type": "boolean", "x-feature": {"encode": "boolean"}},
        },
    }  # fmt: skip
    inputs = ["gain", "age", "town", "skills"]
    for _ in range(60):
        names = [entry for entry in ("writing", "planning", "wiring") if draws.random() < 0.7]
        record = {
            "age": draws.choice([18, 40.5, draws.uniform(-5, 120)]),
            "town": draws.choice(["n", "s", "elsewhere"]),
            "skills": [
                {"name": n, "measurements": [draws.uniform(0, 10) for _ in range(draws.randrange(6))]}
                for n in names
            ],
            "ill": draws.random() < 0.5,
        } | ({"gain": draws.uniform(0, 2e5)} if draws.random() < 0.7 else {})
        document = {
            **EXAMPLES["sigmoid"], "inputs": inputs, "target": ["ill"],
            "width_in": input_width(requirement, inputs), "width_out": target_width(requirement, ["ill"]),
            "layers": [{"op": "linear", "out": 1, "bias": True}],
        }  # fmt: skip
        if draws.random() < 0.6:
            document["task"] = {
                "skills": {"combine": draws.choice(["mean", "median", "minimum", "maximum", "last"])},
                "gain": {"scale": draws.choice(["linear", "log1p"]), "high_micro": 50_000_000_000},
            }
        x, y = Encoder(requirement, parse_manifest(document)).encode(record)
        said = await tab.ask("record", requirement=requirement, manifest=document, record=record)
        assert said == [x.tobytes().hex(), y.tobytes().hex()], record


async def test_the_output_contract_is_the_same_bit_for_bit(tab: Script) -> None:
    draws = random.Random(8)
    for d in (1, 2, 7, 8, 9, 127, 128, 129, 1000, 4097):
        head = header(d=d, q=draws.choice((8, 16)), f=draws.randint(0, 12), clip_micro=draws.choice((10**5, 10**7)), noise_micro=draws.choice((0, 20_000, 300_000)), rotation_seed=draws.choice((b"", draws.randbytes(32))))  # fmt: skip
        marked = d > 1 and draws.random() < 0.5
        raw = uniform(draws.randbytes(16), d - marked, 10.0 ** draws.randint(-3, 2)).tobytes()
        keys = [draws.randbytes(16), draws.randbytes(16)]
        left = iter(keys)
        expected = output.contract(raw, head, lambda _, left=left: next(left), marked=marked)
        sent = {"raw": raw.hex(), "header": head.to_bytes().hex(), "draws": [key.hex() for key in keys]}
        said = await tab.ask("contract", **sent, marked=marked)
        assert said == expected.tolist()


@pytest.mark.parametrize("size", [1, 8, 129, 100_003])
async def test_clipping_adds_in_the_same_order(tab: Script, size: int) -> None:
    values = uniform(size.to_bytes(16, "big"), size, 3.0).astype(np.float64) / 3

    said = await tab.ask("clip", values=values.tobytes().hex(), bound=0.9)

    assert bytes.fromhex(said) == clipping.clip(values, 0.9).tobytes()


@pytest.mark.parametrize(
    ("sigma", "f"),
    [(1, 0), (50_000, 0), (70_000, 0), (100, 8), (20_000, 16), (14_434, 10), (3_000_000, 4), (1_000_000, 9)],
)
async def test_the_noise_has_the_same_table(tab: Script, sigma: int, f: int) -> None:
    smallest, table = noise.thresholds(sigma, f)

    assert await tab.ask("thresholds", sigma=sigma, f=f) == [smallest, table.tobytes().hex()]
