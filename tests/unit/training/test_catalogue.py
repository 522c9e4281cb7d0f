"""The catalogue: every entry becomes a manifest that fits its requirement, and learns."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from collectives.terms.algorithm import (
    manifest_hash,
    model_hash,
    most_ratio,
    natural_bound,
    parse_manifest,
    release_ratio,
)
from collectives.terms.errors import TermsError
from collectives.training import catalogue, metrics, net
from collectives.training.baseline import train_centrally
from collectives.training.features import Encoder
from marketplace.demo import job_performance
from marketplace.demo.datasets import breast_cancer

SKILLS = job_performance.requirement()
FIELDS: dict[str, Any] = {
    "inputs": ["job_title", "manager_evaluation", "peer_review"],
    "target": ["skills", "preferences", "characteristics"],
}
NAMES = [entry.name for entry in catalogue.entries()]
ASKED = {
    *("logistic-regression", "linear-regression", "mlp", "embedding-mlp", "skill-profile"),
    *("extreme-learning-machine", "extreme-learning-machine-gradient", "ridge-regression"),
    *("mlp-local-steps", "mean", "histogram", "covariance"),
}


def fields_for(name: str) -> dict[str, Any]:
    return FIELDS if catalogue.entry(name).targets else {"inputs": FIELDS["inputs"]}


def test_it_holds_what_was_asked_for() -> None:
    assert set(NAMES) == ASKED


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_fits_its_requirement_and_says_what_it_is_for(name: str) -> None:
    document = catalogue.build(name, SKILLS, **fields_for(name))
    manifest = parse_manifest(document)

    Encoder(SKILLS, manifest)
    assert "$" not in json.dumps(document)
    assert manifest.output.kind == catalogue.entry(name).kind
    assert document["purpose"] == catalogue.entry(name).use.strip() and len(document["purpose"]) > 30
    assert document == catalogue.build(name, SKILLS, **fields_for(name))
    if natural_bound(manifest) is not None:
        assert 0.4 < manifest.output.clip_micro / 1e6 / natural_bound(manifest) < 1.001
        assert release_ratio(manifest, 100) <= most_ratio(manifest)


def test_the_skill_profile_is_the_algorithm_of_the_seeds_example() -> None:
    document = job_performance.manifest(SKILLS)

    assert manifest_hash(document) == "feba87024ff79789e5ee07c3f1a913be6292473ae1f043d3cf6be67836b67d3e"
    assert len(document["target"]) == 3 and document["width_out"] == 26


def test_the_loss_follows_the_targets() -> None:
    def loss(target: list[str]) -> str:
        inputs = [name for name in ("job_title", "peer_review") if name not in target]
        return str(catalogue.build("mlp", SKILLS, inputs=inputs, target=target)["loss"])

    assert loss(["job_title"]) == "softmax-cross-entropy"
    assert loss(["preferences"]) == "bce-with-logits"
    assert loss(["manager_evaluation"]) == "mse"
    assert loss(["manager_evaluation", "preferences"]) == "mse"


def test_an_embedding_reads_the_listed_fields() -> None:
    inputs = ["peer_review", "job_title", "preferences"]
    document = catalogue.build("embedding-mlp", SKILLS, inputs=inputs, target=["manager_evaluation"])

    assert document["layers"][0]["blocks"] == [
        {"at": 1, "columns": 6, "out": 3},
        {"at": 7, "columns": 8, "out": 4},
    ]


def test_the_seed_of_random_features_is_public_and_differs_by_requirement() -> None:
    other = replace(breast_cancer())
    first = catalogue.build("extreme-learning-machine", SKILLS, **FIELDS)
    second = catalogue.build(
        "extreme-learning-machine", other.requirement, inputs=other.manifest["inputs"], target=["malignant"]
    )
    assert first["layers"][0]["seed"] != second["layers"][0]["seed"]
    assert (first["layers"][0]["out"], second["layers"][0]["out"]) == (16, 30)


@pytest.mark.parametrize(
    ("name", "inputs", "target", "sentence"),
    [
        ("forest", ["peer_review"], ["skills"], "The catalogue has no forest"),
        ("mean", ["peer_review"], ["skills"], "predicts nothing"),
        ("mlp", ["peer_review"], [], "needs a field to predict"),
        ("logistic-regression", ["job_title"], ["peer_review"], "cannot predict peer_review"),
        ("embedding-mlp", ["peer_review"], ["skills"], "needs an input of listed values"),
        ("mlp", ["age"], ["skills"], "no field age"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, inputs: list[str], target: list[str], sentence: str) -> None:
    with pytest.raises(TermsError, match=sentence):
        catalogue.build(name, SKILLS, inputs=inputs, target=target)


def test_an_evaluation_belongs_to_its_model() -> None:
    document = catalogue.build("skill-profile", SKILLS, **FIELDS)
    judged = parse_manifest(catalogue.evaluation_of(document))

    assert model_hash(judged) == model_hash(parse_manifest(document))
    assert judged.output.kind == "evaluation" and judged.hash != manifest_hash(document)
    assert judged.output.clip_micro / 1e6 == pytest.approx(np.sqrt(3 * 26), abs=1e-5)


@pytest.mark.parametrize(
    "name",
    ["logistic-regression", "mlp", "extreme-learning-machine", "ridge-regression", "linear-regression"],
)
def test_it_tells_the_malignant_from_the_benign(name: str) -> None:
    data = breast_cancer()
    document = catalogue.build(
        name, data.requirement, inputs=data.manifest["inputs"], target=data.manifest["target"]
    )
    manifest = parse_manifest(document)
    x, y = Encoder(data.requirement, manifest).encode_many(data.train[:200])
    test, answers = Encoder(data.requirement, manifest).encode_many(data.test)

    scores = net.predict(manifest, train_centrally(manifest, x, y, iterations=60), test)

    # The first layer of a net that starts with a last layer of zeros learns only after it.
    assert metrics.auc(answers[:, 0].astype(float), scores[:, 0].astype(float)) > 0.95
