"""What the browser lacks and the tab computes itself: the same bytes as the Python libraries, over many random inputs."""

from __future__ import annotations

import random
from hashlib import blake2b

import coincurve
from argon2.low_level import Type, hash_secret_raw
from eth_hash.auto import keccak

from aggregation.wire.secret import Secret
from collectives.terms import agreement
from collectives.terms.errors import TermsError
from collectives.terms.requirements import check_profile, validate
from tests.unit.agent import documents
from tests.unit.tab.node import Script
from wallets.agent import identity, keyfile

DRAWS = random.Random(5)


async def test_hashes_are_the_same_bytes() -> None:
    async with Script("store") as tab:
        for size in (0, 1, 64, 127, 128, 129, 135, 136, 137, 300):
            message, key, salt = (DRAWS.randbytes(n) for n in (size, 64, 16))
            memory, passes = DRAWS.choice([8, 16, 37, 64]), DRAWS.choice([1, 2, 3])
            said = await tab.ask(
                "hashes", message=message.hex(), key=key.hex(), salt=salt.hex(), memory=memory, passes=passes
            )
            assert said == {
                "blake2b": blake2b(message).hexdigest(),
                "keyed": blake2b(message, key=key, digest_size=32, person=b"cssi/v1/backup").hexdigest(),
                "keccak": keccak(message).hex(),
                "argon2id": hash_secret_raw(
                    message, salt, passes, memory, parallelism=1, hash_len=32, type=Type.ID
                ).hex(),
            }


async def test_addresses_and_signatures_are_the_same_bytes() -> None:
    secrets = [bytes(31) + b"\x01", (identity.CURVE_ORDER - 1).to_bytes(32, "big")]
    async with Script("store") as tab:
        for secret in [*secrets, *(DRAWS.randbytes(32) for _ in range(6))]:
            digest, message = DRAWS.randbytes(32), DRAWS.randbytes(32)
            said = await tab.ask("identity", secret=secret.hex(), digest=digest.hex(), message=message.hex())
            assert said["address"] == identity.address_of(Secret(secret)).hex()
            assert said["signature"] == identity.sign_digest(Secret(secret), digest).hex()
            assert said["personal"] == identity.eip191_digest(message).hex()
            signature = bytes.fromhex(said["signature"])
            recovered = coincurve.PublicKey.from_signature_and_message(
                signature[:64] + bytes([signature[64] - 27]), digest, hasher=None
            )
            assert recovered == coincurve.PrivateKey(secret).public_key


async def test_the_agreement_is_the_one_the_contract_knows() -> None:
    address, salt, registry = DRAWS.randbytes(20), DRAWS.randbytes(32), "0x" + DRAWS.randbytes(20).hex()
    message = agreement.build(
        collective_id=Collective.id,
        terms_hash="11" * 32,
        requirement_hash="22" * 32,
        rate=5 * 10**15,
        payout_hash=agreement.payout_hash(address, salt),
        valid_from=1_800_000_000,
        valid_until=1_900_000_000,
        nonce=2**64 - 1,
    )
    async with Script("store") as tab:
        said = await tab.ask(
            "agreement",
            message=message,
            chain_id=1337,
            registry=registry,
            address=address.hex(),
            salt=salt.hex(),
        )
    assert said == {
        "hash": agreement.agreement_hash(message),
        "digest": agreement.signing_digest(message, chain_id=1337, registry=registry).hex(),
        "payout": agreement.payout_hash(address, salt).hex(),
    }


Collective = documents.Collective()
Schema = dict[str, object]


def requirement(**field: object) -> Schema:
    spec = {"type": "number", "minimum": 0, "maximum": 10, **field}
    return {
        "type": "object",
        "properties": {"x": {name: value for name, value in spec.items() if value is not None}},
        "required": ["x"],
        "additionalProperties": False,
    }


NUMBER, LISTED = {"encode": "number"}, {"type": "string", "minimum": None, "maximum": None}
MEASURED = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "enum": ["a", "b"]},
        "measurements": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}},
    },
    "additionalProperties": False,
}
LIST = {"type": "array", "minimum": None, "maximum": None, "items": MEASURED}
REQUIREMENTS: list[Schema] = [
    documents.REQUIREMENT,
    {**documents.REQUIREMENT, "additionalProperties": True},
    {**documents.REQUIREMENT, "required": ["height", "height"]},
    {**documents.REQUIREMENT, "required": ["colour"]},
    {**documents.REQUIREMENT, "x-assurance": "attested"},
    requirement(),
    requirement(pattern="x"),
    requirement(type="word"),
    requirement(minimum=11),
    requirement(maximum=1e16),
    requirement(minLength=-1),
    requirement(minItems=3, maxItems=2),
    requirement(title="t" * 2001),
    requirement(uniqueItems="yes"),
    requirement(**{"x-feature": NUMBER}),
    requirement(**{"x-feature": {**NUMBER, "bins": [1, 2, 3]}}),
    requirement(**{"x-feature": {**NUMBER, "bins": [2, 2]}}),
    requirement(**{"x-feature": {**NUMBER, "transform": "log1p"}}),
    requirement(**{"x-feature": {**NUMBER, "transform": "log1p"}}, minimum=-1),
    requirement(**{"x-feature": {"encode": "magic"}}),
    requirement(**{"x-feature": {"encode": "boolean"}}),
    requirement(**{"x-feature": {"encode": "one-hot"}}),
    requirement(**LISTED, enum=["a", "b"], **{"x-feature": {"encode": "one-hot", "unlisted_to": "b"}}),
    requirement(**LISTED, enum=["a", "b"], **{"x-feature": {"encode": "one-hot", "unlisted_to": "c"}}),
    requirement(**LISTED, enum=["a", "a"]),
    requirement(**LISTED, enum=["a", 1]),
    requirement(**LISTED, enum=[]),
    requirement(**LIST, **{"x-feature": {"encode": "mean-of-measurements"}}),
    requirement(**LIST, **{"x-feature": {"encode": "mean-of-measurements", "name": "who"}}),
    requirement(**LIST, **{"x-unique-by": "name"}),
    requirement(**LIST, **{"x-unique-by": "colour"}),
    requirement(**LIST, **{"x-feature": {"encode": "multi-hot"}}),
    requirement(**{"x-assurance": "attested"}),
    requirement(**{"x-assurance": "attested", "x-issuers": ["did:key:z6Mk" + "a" * 44]}),
    requirement(**{"x-issuers": ["did:key:z6Mk" + "a" * 44]}),
    requirement(const=True),
    requirement(const=5),
    {"type": "array"},
    requirement(**{**LIST, "items": {**LIST, "minimum": 0, "items": {**LIST, "minimum": 0}}}),
]


async def test_the_tab_refuses_the_same_requirements() -> None:
    refused = 0
    async with Script("store") as tab:
        for document in REQUIREMENTS:
            said = await tab.ask("profile", requirement=document)
            try:
                check_profile(document)
                assert said == "fine", document
            except TermsError as error:
                assert said.get("error") == error.code, document
                refused += 1
    assert 20 <= refused < len(REQUIREMENTS) - 8


async def test_the_tab_says_what_a_record_lacks_in_the_same_words() -> None:
    measured = requirement(**LIST, minItems=2, maxItems=3, **{"x-unique-by": "name"})
    listed = requirement(**LISTED, enum=["a", "b"], minLength=2, maxLength=3)
    cases: list[tuple[Schema, object]] = [
        (documents.REQUIREMENT, documents.RECORD),
        (documents.REQUIREMENT, {"height": 4, "weight": 20, "ill": 1, "colour": "red"}),
        (documents.REQUIREMENT, {"height": -1, "weight": "heavy"}),
        (listed, {"x": "c"}),
        (listed, {"x": "cccc"}),
        (measured, {"x": [{"name": "a", "measurements": [0.5, 2]}]}),
        (measured, {"x": [{"name": "a"}, {"name": "a"}, {"measurements": [3]}, {"name": "z", "who": 1}]}),
        (measured, {"x": "none"}),
        (requirement(type="integer"), {"x": 2.5}),
        (requirement(const=5), {"x": 4}),
    ]
    async with Script("store") as tab:
        for schema, record in cases:
            said = await tab.ask("problems", requirement=schema, record=record)
            assert sorted(said) == sorted(str(problem) for problem in validate(schema, record)), (
                schema,
                record,
            )


async def test_codes_and_raw_keys_are_as_the_agent_reads_them() -> None:
    async with Script("store") as tab:
        for text in ("abcde-fghij", "oOiIlL 0-1", " 7ü7_Z "):
            assert await tab.ask("typed", text=text) == keyfile.normal_recovery_code(text)
        for draw in (DRAWS.randbytes(32), bytes(2) + DRAWS.randbytes(30), bytes(31) + b"\x05"):
            raw = bytes.fromhex(await tab.ask("raw_key", draw=draw.hex())).decode()
            assert base58(raw) == draw


def base58(text: str) -> bytes:
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number = 0
    for sign in text:
        number = number * 58 + alphabet.index(sign)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
