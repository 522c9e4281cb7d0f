"""The API against its own schema, by schemathesis: whatever is sent, the answer is one the schema describes, and never a failure.

Its pytest plugin stays off (pyproject.toml): it is slow to load, and its operations are driven here as plain hypothesis tests.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from marketplace.accounts import tokens
from tests.apps.cast import World

WHO = {"jobs": "carla", "money": "carla", "models": "carla", "owners": "alice", "authors": "aron"}
"""By tag: whose token is sent, so that a request comes as far as it can."""
TAGS = ("jobs", "money", "models", "owners", "authors", "wallets", "collectives", "algorithms")
"""Every operation has exactly one of them."""


@pytest.fixture
def bearer(world: World) -> dict[str, str]:
    made = {name: tokens.make(account=world.people[name], label="schema")[1] for name in set(WHO.values())}
    return {name: f"Bearer {text}" for name, text in made.items()}


def known(world: World) -> dict[str, Any]:
    """Path parameters that lead to something."""
    return {
        "collective_id": str(world.collective.pk),
        "job_id": str(world.order.job_id),
        "other_id": str(world.order.job_id),
        "admission_id": str(world.admission.pk),
        "manifest_hash": world.algorithm.manifest_hash,
        "number": 0,
    }


def checks() -> list[Any]:
    """What every answer is held to. A refusal is an answer: which data is refused is what other tests are about."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks as of_openapi

    return [
        not_a_server_error,
        of_openapi.status_code_conformance,
        of_openapi.content_type_conformance,
        of_openapi.response_headers_conformance,
        of_openapi.response_schema_conformance,
        of_openapi.unsupported_method,
    ]


def try_out(operation: Any, headers: dict[str, str], found: dict[str, Any], examples: int) -> None:
    """So many generated requests to one operation, half of them about things that exist."""
    wanted = checks()

    @seed(20_240_601)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), real=st.booleans())
    def one(case: Any, real: bool) -> None:
        if real:
            case.path_parameters = {name: found.get(name, v) for name, v in case.path_parameters.items()}
        case.call_and_validate(headers=headers, checks=wanted)

    one()


def drive(world: World, bearer: dict[str, str], examples: int, tag: str = "") -> list[str]:
    """What did not keep to the schema, by operation of this tag or of all; empty when everything did."""
    import schemathesis
    from schemathesis.core.failures import FailureGroup

    schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", get_wsgi_application())
    problems, found = [], known(world)
    for result in schema.get_all_operations():
        operation = result.ok()
        if tag and tag not in (operation.tags or ()):
            continue
        who = next((WHO[tag] for tag in operation.tags or () if tag in WHO), "")
        try:
            try_out(operation, {"Authorization": bearer[who]} if who else {}, found, examples)
        except (FailureGroup, Exception) as error:
            problems.append(f"{operation.label}: {error}")
    return problems


def test_answers_keep_to_the_schema(world: World, bearer: dict[str, str]) -> None:
    assert drive(world, bearer, 3) == []


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("tag", TAGS)
def test_answers_keep_to_the_schema_whatever_is_sent(world: World, bearer: dict[str, str], tag: str) -> None:
    """`make fuzz-api ARGS="-k money"` runs one part of it."""
    assert drive(world, bearer, int(os.environ.get("CSSI_EXAMPLES", "150")), tag) == []


def test_the_schema_says_what_the_api_has(world: World, client: Any) -> None:
    """Every address of the API is described, with an answer for each method and with how it refuses."""
    from django.urls import get_resolver

    schema = client.get("/api/schema/?format=json").json()
    routes = {
        name
        for name, _ in get_resolver().reverse_dict.items()
        if isinstance(name, str) and name.startswith("api-") and not name.startswith("api-token")
    }
    assert len(schema["paths"]) == len(routes)
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert len(operation["tags"]) == 1 and operation["tags"][0] in TAGS, (method, path)
            assert "4XX" in operation["responses"], (method, path)
            assert operation.get("description") or path.startswith("/api/v1/wallets"), (method, path)
