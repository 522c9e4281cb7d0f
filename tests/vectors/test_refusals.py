"""Wrong messages and the output contract, replayed from the JSON alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregation.secagg.client import SecAggClient
from aggregation.secagg.errors import Fault, ProtocolError
from aggregation.secagg.messages import Header
from aggregation.wire.secret import Secret
from tests.vectors.refusals import take
from tests.vectors.test_vectors import Draws
from wallets.agent import output
from wallets.agent.errors import OutputRefused

HERE = Path(__file__).parent
b = bytes.fromhex
OF_OTHERS = {
    "wrong_sender",
    "closed",
    "bad_policy",
    "wrong_enrolment",
    "wrong_receipt",
    "not_enrolled",
    "wrong_size",
}
"""Faults that a server says, or a wallet only about its own caller."""


def load(name: str) -> Any:
    return json.loads((HERE / f"{name}.json").read_text("utf-8"))


def test_a_wallet_refuses_what_the_file_says() -> None:
    data = load("refusals")
    for case in data["cases"]:
        noted = case.get("noted", False)
        client = SecAggClient(
            Header.from_bytes(b(data["header"])),
            Secret(b(data["job_key_seed"])),
            rng=Draws(data["entropy"]),
            note_revealed=lambda *_, noted=noted: not noted,
            verify_sample=None,
        )
        client.advertise()
        steps = data["steps"]
        for step in steps if case["after"] == "end" else steps[: steps.index(case["after"])]:
            take(client, step, given(data["right"][step]), data["now"])
        with pytest.raises(ProtocolError) as caught:
            take(client, case["step"], given(case["message"]), case.get("now", data["now"]))
        assert (caught.value.code, client.closed) == (case["code"], True), case["why"]


def given(message: Any) -> Any:
    return b(message) if isinstance(message, str) else message


def test_every_fault_of_a_wallet_is_among_them() -> None:
    said = {case["code"] for case in load("refusals")["cases"]}

    assert said == {str(fault.value) for fault in Fault} - OF_OTHERS


def test_headers_and_what_follows_from_them() -> None:
    data = load("header")
    for row in data["accept"]:
        head = Header.from_bytes(b(row["header"]))
        assert head.hash().hex() == row["hash"]
        assert (head.padded_d, head.words, head.largest_bucket) == (
            row["padded_d"],
            row["words"],
            row["largest_bucket"],
        )
        for bucket in row["buckets"]:
            size, own = bucket["members"], bucket["position"]
            reach = size if bucket["degree"] == size - 1 else head.k // 2
            near = [p for p in range(size) if p != own and min((p - own) % size, (own - p) % size) <= reach]
            assert len(near) == bucket["degree"] == head.degree(size)
            assert near[:3] + near[-3:] == bucket["first_and_last_neighbours"]
            wanted = -(-(len(near) + 1) * head.threshold_ppm // 10**6)
            assert min(len(near), wanted) == bucket["threshold"] == head.threshold(size)
    for row in data["reject"]:
        with pytest.raises(ProtocolError) as caught:
            Header.from_bytes(b(row["header"]))
        assert caught.value.code == row["code"], row["why"]


def test_the_output_contract() -> None:
    data = load("contract")
    for case in data["cases"]:
        head, draws = Header.from_bytes(b(case["header"])), Draws(case["draws"])
        made = output.contract(b(case["raw_f32"]), head, draws, marked=case["marked"])
        assert made.tolist() == case["values"], case["name"]
    assert any(np.abs(case["values"]).max() == 31 for case in data["cases"]), "one case is clamped"
    for case in data["refused"]:
        head = Header.from_bytes(b(case.get("header", data["refused_header"])))
        with pytest.raises(OutputRefused) as caught:
            output.contract(b(case["raw_f32"]), head, bytes)
        assert caught.value.code == case["code"]
