"""The wallet's own rules about an algorithm in a round: length, clip, first weights, and how much is asked of how few."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from collectives.terms.algorithm import Manifest, output_length, parse_manifest, question_hash, stack
from collectives.training.checkpoint import checkpoint_hash, weights_to_bytes
from collectives.training.init import initial_weights
from tests.unit.agent import documents
from tests.vectors.algorithms import ANSWERS, NETS
from wallets.agent.refusals import Refusal
from wallets.agent.rules import marked, objection

JOB = str(uuid.UUID(int=7))
HIDDEN = documents.manifest(layers=stack([3, 1]))


def header(manifest: Manifest, **changes: Any) -> Any:
    """An honest first round of this algorithm."""
    weights = weights_to_bytes(initial_weights(manifest, uuid.UUID(JOB).bytes))
    values = {
        "d": output_length(manifest),
        "clip_micro": manifest.output.clip_micro,
        "noise_micro": manifest.output.clip_micro * 30 // 1000,
        "manifest_hash": bytes.fromhex(manifest.hash),
        "checkpoint_hash": checkpoint_hash(bytes.fromhex(manifest.hash), 0, weights),
    }
    public = bytes.fromhex(documents.Collective().key)
    return documents.header(JOB, log_root=bytes(32), log_size=1, distributor_key=public, **values | changes)


@pytest.mark.parametrize("name", [*NETS, *ANSWERS])
def test_an_honest_round_of_every_kind_is_taken(name: str) -> None:
    manifest = parse_manifest({**NETS, **ANSWERS}[name])
    assert objection(manifest, header(manifest)) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"d": 12}, Refusal.SHAPE_MISMATCH),
        ({"d": 14}, None),
        ({"d": 15}, Refusal.SHAPE_MISMATCH),
        ({"clip_micro": 1_000_001}, Refusal.SHAPE_MISMATCH),
        ({"clip_micro": 500_000}, None),
        ({"checkpoint_hash": bytes(32)}, Refusal.NOT_INITIAL),
        ({"checkpoint_hash": bytes(32), "round": 2}, None),
        ({"job": uuid.UUID(int=8).bytes}, Refusal.NOT_INITIAL),
    ],
)
def test_what_a_header_may_not_say(changes: dict[str, Any], expected: Refusal | None) -> None:
    manifest = parse_manifest(HIDDEN)
    assert output_length(manifest) == 13
    assert objection(manifest, header(manifest, **changes)) is expected


def test_only_updates_carry_the_mark_of_an_adaptive_clip() -> None:
    query = wide("mean", 5)
    assert objection(query, header(query, d=6)) is Refusal.SHAPE_MISMATCH
    assert (marked(query, header(query, d=6)), marked(query, header(query))) == (False, False)
    update = parse_manifest(HIDDEN)
    assert (marked(update, header(update, d=14)), marked(update, header(update))) == (True, False)


def test_an_evaluation_begins_with_the_model_it_judges() -> None:
    manifest = parse_manifest(ANSWERS["evaluation of yes or no"])
    assert objection(manifest, header(manifest, checkpoint_hash=bytes([7]) * 32)) is None


def wide(kind: str, width: int) -> Manifest:
    return parse_manifest(
        {
            "version": 1,
            "name": "w",
            "purpose": "p",
            "inputs": ["a", "b"],
            "width_in": width,
            "output": {"kind": kind, "clip_micro": 10**6},
        }
    )


def test_a_query_asks_at_most_one_number_per_wallet_and_field() -> None:
    assert objection(wide("mean", 200), header(wide("mean", 200))) is None
    assert objection(wide("mean", 201), header(wide("mean", 201))) is Refusal.RATIO_TOO_HIGH
    assert objection(wide("covariance", 30), header(wide("covariance", 30))) is Refusal.RATIO_TOO_HIGH


def test_a_trained_model_may_ask_for_three_and_a_larger_cohort_for_more() -> None:
    narrow, broad = (parse_manifest(documents.manifest(layers=stack([hidden, 1]))) for hidden in (224, 226))
    assert (output_length(narrow), output_length(broad)) == (897, 905)
    assert objection(narrow, header(narrow)) is None
    assert objection(broad, header(broad)) is Refusal.RATIO_TOO_HIGH
    assert objection(broad, header(broad, release_min=101)) is None


def test_noise_as_large_as_the_bound_or_a_development_round_lifts_the_ratio() -> None:
    manifest = wide("mean", 900)
    loud = -(-manifest.output.clip_micro // 4)  # twenty wallets of a quarter each: more than once the bound
    assert objection(manifest, header(manifest, noise_micro=loud)) is None
    assert objection(manifest, header(manifest, noise_micro=loud - 30_000)) is Refusal.RATIO_TOO_HIGH
    tiny = {"development": True, "bucket_min": 3, "release_min": 3, "bucket_size": 6}
    assert objection(manifest, header(manifest, **tiny)) is None


def test_a_question_is_the_same_under_another_name_clip_or_penalty() -> None:
    first = ANSWERS["elm-statistics of a random layer"]
    same = {**first, "name": "else", "purpose": "q"}
    same["output"] = first["output"] | {"clip_micro": 5, "ridge_micro": 9}
    other = {**first, "layers": [first["layers"][0] | {"seed": "cd" * 32}, *first["layers"][1:]]}
    finer = {**ANSWERS["histogram"], "output": ANSWERS["histogram"]["output"] | {"bins": 6}}

    assert question_hash(parse_manifest(first)) == question_hash(parse_manifest(same))
    assert question_hash(parse_manifest(first)) != question_hash(parse_manifest(other))
    assert question_hash(parse_manifest(ANSWERS["histogram"])) != question_hash(parse_manifest(finer))
