"""What lies in deploy/ is checked by the tools of its kind, and keeps the roles apart as the code does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import crossplane
import pytest
import yaml

from marketplace.settings.roles import KEY_FILES, QUEUES
from marketplace.supervisor.parts import child_environment
from marketplace.supervisor.servers import acl_rule

REPOSITORY = Path(__file__).resolve().parents[3]
DEPLOY = REPOSITORY / "deploy"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same reading by libyaml, ten times as fast, where PyYAML was built with it."""
COMPOSE = DEPLOY / "compose" / "compose.yaml"
ROLES = ("web", "distributor", "aggregator", "issuer")
BASE = DEPLOY / "kustomize" / "base"
MANIFESTS = sorted(path for path in BASE.glob("*.yaml") if path.name != "kustomization.yaml")
NAMES = {"SITE_HOST": "a.example", "DISTRIBUTOR_HOST": "b.example", "AGGREGATOR_HOST": "c.example"}
NAMES |= {"ISSUER_HOST": "d.example", "ROLE_NETWORK": "10.0.0.0/8"}


def program(name: str, *arguments: str) -> None:
    found = Path(sys.executable).parent / name
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr


def services() -> dict[str, Any]:
    return dict(yaml.load(COMPOSE.read_text(), LOADER)["services"])


def manifests() -> list[dict[str, Any]]:
    return [document for path in MANIFESTS for document in yaml.load_all(path.read_text(), LOADER)]


# --- image


def test_the_image_passes_its_linter() -> None:
    program("hadolint", str(DEPLOY / "image" / "Containerfile"))


def test_the_image_runs_as_a_user_without_rights_and_takes_no_secret_along() -> None:
    lines = (DEPLOY / "image" / "Containerfile").read_text().splitlines()
    last_stage = lines[[i for i, line in enumerate(lines) if line.startswith("FROM")][-1] :]
    assert "USER 10001:10001" in last_stage
    assert not [line for line in last_stage if line.startswith("COPY") and "--from=build" not in line]
    assert (REPOSITORY / ".containerignore").read_text() == (REPOSITORY / ".dockerignore").read_text()
    taken = (REPOSITORY / ".containerignore").read_text().split()
    assert taken[0] == "**"  # nothing goes in that is not named
    assert not {"!var", "!.env", "!deploy", "!tests", "!.git"} & set(taken)


@pytest.mark.parametrize("script", sorted(DEPLOY.rglob("*.sh")), ids=lambda path: path.name)
def test_scripts_can_be_read_by_sh(script: Path) -> None:
    assert script.read_text().splitlines()[0] == "#!/bin/sh"
    assert script.stat().st_mode & 0o111
    subprocess.run(["sh", "-n", str(script)], check=True)


# --- compose


def test_the_compose_file_fits_its_schema() -> None:
    program("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE))


def role_of(service: str) -> str | None:
    return next((role for role in ROLES if service == role or service.startswith(f"{role}-")), None)


def test_each_role_has_a_network_and_nobody_else_is_in_it() -> None:
    networks = yaml.load(COMPOSE.read_text(), LOADER)["networks"]
    for name, service in services().items():
        joined = set(service["networks"])
        for role in ROLES:
            assert (role in joined) == (role_of(name) == role), name
    for name, network in networks.items():
        assert network.get("internal", False) == (name not in {"edge", "outside"}), name
    leads_out = {
        name for name, service in services().items() if {"edge", "outside"} & set(service["networks"])
    }
    assert {role_of(name) for name in leads_out} == {None, "web"}
    assert [
        name
        for name in services()
        if "calls" in services()[name]["networks"] and role_of(name) in {"aggregator", "issuer"}
    ] == []


def test_each_service_gets_the_secrets_and_keys_of_its_role_alone() -> None:
    for name, service in services().items():
        role = role_of(name)
        for secret in service.get("secrets", []):
            assert role_of(secret["source"]) == role, name
        for volume in service.get("volumes", []):
            if volume.startswith("./keys"):
                assert volume == f"./keys/{role}:/run/keys:ro"
    given = yaml.load(COMPOSE.read_text(), LOADER)["secrets"]
    assert all(entry["file"].startswith(f"./secrets/{role_of(name)}/") for name, entry in given.items())


def test_no_service_runs_as_root_or_may_gain_rights() -> None:
    for name, service in services().items():
        if name == "proxy":
            continue
        ours = service["image"].startswith("${CSSI_IMAGE")  # the image itself names its user
        assert ours or service["user"] == "10001:10001", name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    assert "ports" in services()["proxy"]
    assert not [name for name, service in services().items() if "ports" in service and name != "proxy"]


def test_every_queue_has_a_worker() -> None:
    served = [
        service["environment"].get("CSSI_QUEUES")
        for service in services().values()
        if service.get("command") == ["worker"]
    ]
    assert set(served) - {None} == set(QUEUES["web"])
    workers = {role_of(name) for name, service in services().items() if service.get("command") == ["worker"]}
    assert workers == {role for role, queues in QUEUES.items() if queues}


def test_values_at_the_issuers_desk_are_swept_though_it_has_no_worker() -> None:
    sweeping = services()["issuer-sweep"]
    assert sweeping["command"] == ["manage", "issuer", "sweep", "--every", "3600"]
    assert sweeping["networks"] == ["issuer"]
    (cron,) = [d for d in manifests() if d["kind"] == "CronJob"]
    (container,) = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["manage", "issuer", "sweep"]


def test_the_secrets_of_a_site_are_made_once_and_fit_together(tmp_path: Path) -> None:
    def prepare() -> dict[str, str]:
        told = {"PATH": "/usr/bin:/bin", "CSSI_MANAGE": "true"}
        subprocess.run(
            ["sh", str(DEPLOY / "compose" / "prepare.sh"), str(tmp_path)],
            check=True,
            env=told,
            capture_output=True,
        )
        return {
            str(path.relative_to(tmp_path)): path.read_text()
            for path in tmp_path.rglob("*")
            if path.is_file()
        }

    made = prepare()
    assert prepare() == made
    wanted = {
        entry["file"].removeprefix("./")
        for entry in yaml.load(COMPOSE.read_text(), LOADER)["secrets"].values()
    }
    assert set(made) == wanted
    for role in ROLES:
        password = made[f"secrets/{role}/database-password"]
        assert re.fullmatch(r"[0-9a-f]{64}", password)
        assert f":{password}@{role}-database:5432/" in made[f"secrets/{role}/database"]
        in_redis = made[f"secrets/{role}/redis"].split(":")[2].split("@")[0]
        assert acl_rule(role, in_redis) in made[f"secrets/{role}/redis-users"].splitlines()
    assert len(set(made.values())) == len(made)
    assert all((tmp_path / name).stat().st_mode & 0o077 == 0 for name in made)


# --- Kubernetes


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_fit_their_schemas(path: Path) -> None:
    program("kubernetes-validate", "--strict", "--quiet", str(path))


def pods() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Whatever starts pods, with what it starts; of a CronJob the Job it makes."""
    made = [
        d["spec"]["jobTemplate"] | {"metadata": d["metadata"]} for d in manifests() if d["kind"] == "CronJob"
    ]
    made += [d for d in manifests() if d["kind"] in {"Deployment", "Job"}]
    return [(d, d["spec"]["template"]["spec"]) for d in made]


def test_pods_run_without_rights_and_with_the_secrets_of_their_role_alone() -> None:
    assert len(pods()) >= 18
    for document, pod in pods():
        role = document["metadata"]["labels"]["role"]
        assert document["spec"]["template"]["metadata"]["labels"]["role"] == role
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            named = {source["configMapRef"]["name"] for source in container.get("envFrom", [])}
            assert named <= {"site", role}
        secrets = {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
        assert secrets <= (
            {"tls"} if role == "proxy" else {f"{role}-keys", f"{role}-secrets", f"{role}-redis"}
        )


def test_every_role_is_shut_in_by_a_policy() -> None:
    policies = {d["metadata"]["name"]: d["spec"] for d in manifests() if d["kind"] == "NetworkPolicy"}
    assert set(policies) == {*ROLES, "proxy", "nothing-by-default"}
    for role in ("aggregator", "issuer"):
        targets = [rule.get("to") for rule in policies[role]["egress"]]
        assert all(targets), role  # no rule without a target: nothing leads out
        assert "proxy" not in json.dumps(targets)


def test_what_the_base_names_is_there() -> None:
    base = yaml.load((BASE / "kustomization.yaml").read_text(), LOADER)
    for resource in base["resources"]:
        assert (BASE / resource).exists()
    assert {path.name for path in MANIFESTS} == {name for name in base["resources"] if name.endswith(".yaml")}
    proxy = yaml.load((DEPLOY / "proxy" / "kustomization.yaml").read_text(), LOADER)
    generated = {entry["name"] for entry in (*base["configMapGenerator"], *proxy["configMapGenerator"])}
    wanted = {
        source["configMapRef"]["name"]
        for _, pod in pods()
        for c in pod["containers"]
        for source in c.get("envFrom", [])
    }
    assert wanted | {"proxy-template"} == generated
    images = {c["image"] for _, pod in pods() for c in pod["containers"]}
    assert images == {entry["name"] for entry in base["images"]}


# --- proxy


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("proxy")
    text = (DEPLOY / "proxy" / "nginx.conf.template").read_text()
    for name, value in NAMES.items():
        text = text.replace(f"${{{name}}}", value)
    assert "${" not in text
    (folder / "site.conf").write_text(text)
    (folder / "nginx.conf").write_text(f"events {{}}\nhttp {{\n    include {folder}/site.conf;\n}}\n")
    strict = crossplane.parse(str(folder / "nginx.conf"), strict=True, combine=True)
    unknown = {re.search(r'unknown directive "(.*)" in ', entry["error"])[1] for entry in strict["errors"]}
    # Two are newer than the parser, and it takes the lines of a `map` for directives.
    assert unknown == {"http2", "ssl_reject_handshake", "default", "", "~^(?<part>/[a-z]*)"}
    parsed = crossplane.parse(str(folder / "nginx.conf"), combine=True)
    http = next(block for block in parsed["config"][0]["parsed"] if block["directive"] == "http")
    return list(http["block"])


def value(block: list[dict[str, Any]], name: str) -> list[str] | None:
    return next((line["args"] for line in block if line["directive"] == name), None)


def locations(proxy: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found = {}
    for server in (line["block"] for line in proxy if line["directive"] == "server"):
        host = (value(server, "server_name") or ["none"])[0]
        found |= {
            (host, line["args"][-1]): line["block"] for line in server if line["directive"] == "location"
        }
    return found


def test_the_proxy_bounds_bodies_and_speaks_tls_alone(proxy: list[dict[str, Any]]) -> None:
    assert value(proxy, "client_max_body_size") == ["2m"]
    assert value(proxy, "ssl_protocols") == ["TLSv1.2", "TLSv1.3"]
    for server in (line["block"] for line in proxy if line["directive"] == "server"):
        secure = "ssl" in (value(server, "listen") or [])
        assert secure or value(server, "return") == ["301", "https://$host$request_uri"]


def test_calls_between_roles_are_hidden_from_the_outside(proxy: list[dict[str, Any]]) -> None:
    found = locations(proxy)
    inside = {key: block for key, block in found.items() if "internal" in key[1]}
    assert {host for host, _ in inside} == {"a.example", "b.example", "c.example"}
    for (host, _), block in inside.items():
        closed = value(block, "deny") == ["all"] and value(block, "allow") == ["10.0.0.0/8"]
        assert closed or (host == "a.example" and value(block, "return") == ["404"])
    for host in ("b.example", "c.example", "d.example"):
        assert value(found[host, "/"], "return") == ["404"]
    assert value(found["c.example", "/aggregator/slots/"], "proxy_request_buffering") == ["off"]


def test_callers_cannot_say_where_they_come_from(proxy: list[dict[str, Any]]) -> None:
    headers = {line["args"][0]: line["args"][1] for line in proxy if line["directive"] == "proxy_set_header"}
    assert headers["X-Forwarded-For"] == "$remote_addr"
    assert headers["X-Forwarded-Proto"] == "$scheme"
    nested = [
        line
        for block in locations(proxy).values()
        for line in block
        if line["directive"] == "proxy_set_header"
    ]
    assert nested == []  # one in a location would drop all of the above there


def test_the_proxy_logs_no_address_query_or_token(proxy: list[dict[str, Any]]) -> None:
    (logged,) = [line["args"][1] for line in proxy if line["directive"] == "log_format"]
    assert not re.search(r"\$(remote_addr|request_uri|args|request|uri|http_\w+|query_string)\b", logged)
    assert value(proxy, "error_log") == ["/dev/stderr", "crit"]


# --- what a process is told


def test_every_variable_of_the_production_settings_is_explained() -> None:
    asked = set(
        re.findall(
            r'env\.\w+\(\s*"([A-Z_]+)"', (REPOSITORY / "marketplace/settings/production.py").read_text()
        )
    )
    asked |= {
        "MARKET_DATABASE_URL",
        "DISTRIBUTOR_DATABASE_URL",
        "AGGREGATOR_DATABASE_URL",
        "ISSUER_DATABASE_URL",
    }
    asked |= set(re.findall(r"\$\{((?:CSSI|WEB)_[A-Z_]+)", (DEPLOY / "image" / "entrypoint.sh").read_text()))
    explained = (REPOSITORY / "docs" / "operations.md").read_text()
    assert len(asked) > 20
    assert [name for name in sorted(asked) if f"`{name}`" not in explained] == []
    assert [name for names in KEY_FILES.values() for name in names if f"`{name}`" not in explained] == []


def test_every_alert_asks_for_a_figure_that_is_counted() -> None:
    """A renamed figure would leave an alert that never fires."""
    asked = set(
        re.findall(r"^\| `cssi_(\w+)", (REPOSITORY / "docs" / "operations.md").read_text(), re.MULTILINE)
    )
    ours = ("marketplace", "collectives", "aggregation", "wallets", "attestation")
    sources = [path.read_text() for name in ours for path in (REPOSITORY / name).rglob("metrics.py")]
    assert len(asked) > 6
    assert [n for n in sorted(asked) if not any(re.search(f'"(cssi_)?{n}"', s) for s in sources)] == []


def test_the_image_and_a_single_machine_give_vectors_back_to_the_system_alike() -> None:
    text = (DEPLOY / "image" / "entrypoint.sh").read_text()
    found = re.search(r'MALLOC_MMAP_THRESHOLD_="\$\{MALLOC_MMAP_THRESHOLD_:-(\d+)\}"', text)
    assert found is not None and found[1] == child_environment()["MALLOC_MMAP_THRESHOLD_"]
