"""Data of people: the built-in set, any folder, and clear words for what is wrong with one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from collectives.terms.algorithm import parse_manifest
from collectives.terms.requirements import validate
from collectives.training.features import Encoder
from marketplace.demo.datasets import Dataset, DatasetError, breast_cancer, folder
from marketplace.demo.job_performance import job_performance
from marketplace.demo.plan import PlanError, default_plan

SCHEMA: dict[str, Any] = {
    "name": "towns",
    "id_column": "wallet_id",
    "split_column": "split",
    "target": {"column": "moved", "type": "binary", "positive": 1},
    "features": [
        {
            "name": "age",
            "type": "numeric",
            "kind": "integer",
            "min": 0,
            "max": 100,
            "transform": "linear",
            "bins": [30, 60],
        },
        {
            "name": "pay",
            "type": "numeric",
            "kind": "real",
            "min": 0,
            "max": 9000,
            "transform": "log1p",
            "nullable": True,
        },
        {"name": "town", "type": "category", "values": ["A", "B", "rest"], "unlisted_to": "rest"},
        {"name": "car", "type": "boolean"},
    ],
}
ROWS = ["w1,train,1,40,100.5,A,1", "w2,train,0,20,,Z,0", "w3,test,1,99,9999,B,1", "w4,test,0,30,5,A,0"]
HEADER = "wallet_id,split,moved,age,pay,town,car"


def write(tmp_path: Path, schema: Any = SCHEMA, text: str | bytes | None = None) -> Path:
    text = "\n".join([HEADER, *ROWS]) if text is None else text
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    (tmp_path / "data.csv.gz").write_bytes(gzip.compress(text.encode() if isinstance(text, str) else text))
    return tmp_path


def fits(data: Dataset) -> None:
    """Every record meets the requirement and encodes to the manifest's widths."""
    manifest = parse_manifest(data.manifest)
    x, y = Encoder(data.requirement, manifest).encode_many([*data.train, *data.test])
    assert x.shape == (len(data.train) + len(data.test), manifest.width_in)
    assert y.shape[1] == manifest.width_out
    assert [validate(data.requirement, record) for record in data.train] == [[]] * len(data.train)


def test_the_built_in_set_has_the_published_split() -> None:
    data = breast_cancer()

    assert (len(data.train), len(data.test)) == (447, 122)
    assert data.train[0]["malignant"] is True
    fits(data)


def test_a_folder_becomes_a_requirement_and_records(tmp_path: Path) -> None:
    data = folder(write(tmp_path))

    assert [r["moved"] for r in data.train] == [True, False]
    assert data.train[1] == {"age": 20, "town": "rest", "car": False, "moved": False}
    assert data.test[0]["pay"] == 9000, "outside the public range counts as its end"
    assert set(data.requirement["required"]) == {"age", "town", "car", "moved"}
    fits(data)


def test_generated_people_are_reproducible_and_labelled() -> None:
    data = job_performance(people=40, seed=7)

    assert data.generated
    assert data.train == job_performance(people=40, seed=7).train
    assert data.train != job_performance(people=40, seed=8).train
    fits(data)


def _without(name: str) -> dict[str, Any]:
    return {k: v for k, v in SCHEMA.items() if k != name}


BAD = {
    "wrong columns": (SCHEMA, "wallet_id,split,moved\nw,train,1", "lacks the column age, pay, town, car"),
    "unknown value": (
        {**SCHEMA, "features": [{"name": "town", "type": "category", "values": ["A"]}]},
        None,
        "Line 3: town is not one of the values",
    ),
    "not UTF-8": (SCHEMA, b"wallet_id\xff\xfe", "not UTF-8"),
    "empty file": (SCHEMA, "", "is empty"),
    "only a header": (SCHEMA, HEADER, "no rows"),
    "ragged": (SCHEMA, f"{HEADER}\nw,train,1", "Line 2 has not as many values"),
    "not a number": (SCHEMA, f"{HEADER}\nw,train,1,old,1,A,1", "Line 2: age"),
    "not finite": (SCHEMA, f"{HEADER}\nw,train,1,nan,1,A,1", "finite"),
    "empty but required": (SCHEMA, f"{HEADER}\nw,train,1,,1,A,1", "Line 2: age is empty"),
    "bad boolean": (SCHEMA, f"{HEADER}\nw,train,1,1,1,A,yes", "car must be 0 or 1"),
    "bad split": (SCHEMA, f"{HEADER}\nw,later,1,1,1,A,1", "split must be train or test"),
    "no training rows": (SCHEMA, f"{HEADER}\nw,test,1,1,1,A,1", "no training rows"),
    "no test rows": (SCHEMA, f"{HEADER}\nw,train,1,1,1,A,1", "no test rows"),
    "words as answers": (
        SCHEMA,
        f"{HEADER}\nw,train,yes,1,1,A,1\nw,train,no,1,1,A,1",
        "Line 3: moved has a third value",
    ),
    "three answers": (
        SCHEMA,
        f"{HEADER}\nw,train,1,1,1,A,1\nw,train,0,1,1,A,1\nw,train,2,1,1,A,1",
        "Line 4: moved has a third value",
    ),
    "no answer": (SCHEMA, f"{HEADER}\nw,train,,1,1,A,1", r"Line 2: the answer \(moved\) is empty"),
    "never positive": (SCHEMA, f"{HEADER}\nw,train,0,1,1,A,1", "moved is never 1"),
    "one answer to learn": (
        SCHEMA,
        f"{HEADER}\nw,train,1,1,1,A,1\nw,test,0,1,1,A,1",
        "training records of towns .* same answer",
    ),
    "not whole": (SCHEMA, f"{HEADER}\nw,train,1,40.5,1,A,1", "Line 2: age is not a whole number"),
    "a field too long": (SCHEMA, f"{HEADER}\nw,train,1,1,1,{'A' * 200_000},1", "is not CSV"),
    "a column twice": (SCHEMA, f"{HEADER},age\nw,train,1,1,1,A,1,2", "the column age twice"),
    "no object": ([], None, "must hold a JSON object"),
    "a target that is a word": ({**SCHEMA, "target": "moved"}, None, "target in schema.json must be"),
    "no features": ({**SCHEMA, "features": []}, None, "at least one object"),
    "a feature that is a word": ({**SCHEMA, "features": ["age"]}, None, "at least one object"),
    "a feature twice": (
        {**SCHEMA, "features": [SCHEMA["features"][0]] * 2},
        None,
        "lists the feature age twice",
    ),
    "target among the features": (
        {**SCHEMA, "features": [{"name": "moved", "type": "boolean"}]},
        None,
        "a feature and the target",
    ),
    "unknown transform": (
        {**SCHEMA, "features": [{**SCHEMA["features"][0], "transform": "sqrt"}]},
        None,
        "transform of age is linear or log1p",
    ),
    "no target": (_without("target"), None, "lacks target"),
    "not binary": ({**SCHEMA, "target": {"column": "moved", "type": "numeric"}}, None, "binary targets only"),
    "unknown type": (
        {**SCHEMA, "features": [{"name": "age", "type": "image"}]},
        None,
        "known are numeric, category and boolean",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path, name: str) -> None:
    schema, text, message = BAD[name]

    with pytest.raises(DatasetError, match=message):
        folder(write(tmp_path, schema, text))


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no schema\.json"):
        folder(tmp_path)
    write(tmp_path)
    (tmp_path / "data.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(DatasetError, match="whole gzip file"):
        folder(tmp_path)
    (tmp_path / "schema.json").write_text("{")
    with pytest.raises(DatasetError, match="not valid JSON"):
        folder(tmp_path)


def test_a_path_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "nowhere"):
        with pytest.raises(DatasetError, match=r"no schema\.json"):
            folder(path)


def test_a_number_of_wallets_that_cannot_be_filled_is_refused(tmp_path: Path) -> None:
    data = folder(write(tmp_path))
    for wallets, message in ((3, "2 training records"), (0, "at least one"), (1, "same answer")):
        with pytest.raises(DatasetError, match=message):
            data.limited(wallets)
    assert data.limited(None) is data
    assert len(data.limited(2).train) == 2


def test_fewer_wallets_are_spread_over_a_sorted_file(tmp_path: Path) -> None:
    rows = [f"t{i},train,{int(i >= 50)},{i},1,A,0" for i in range(100)] + ROWS[2:]
    data = folder(write(tmp_path, text="\n".join([HEADER, *rows]))).limited(10)
    assert [record["age"] for record in data.train] == list(range(0, 100, 10))


def test_the_plan_needs_three_minimum_cohorts_or_says_so() -> None:
    assert default_plan(447).cohort == 115
    assert default_plan(2000).cohort == 200
    with pytest.raises(PlanError, match=r"299 wallets are too few.*--development-cohort"):
        default_plan(299)
    plan = default_plan(60, development_cohort=20, rounds=3)
    assert plan.development
    assert plan.release_min <= 20
    with pytest.raises(PlanError, match="cannot be drawn"):
        default_plan(10, development_cohort=20)
