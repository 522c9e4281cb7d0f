"""Audits of submitted algorithms: asked for, run, kept, shown, and in the way of what they reject."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from collectives import tasks
from collectives.errors import CollectiveError
from collectives.models import Admission, Algorithm, Audit
from collectives.services import algorithms, audits, collectives, jobs
from collectives.services.plan import JobPlan
from collectives.terms.algorithm import stack
from marketplace.jobs import model_card
from tests.apps import cast
from tests.apps.cast import World

pytestmark = pytest.mark.django_db(databases="__all__")
PARTS = ("fields", "ratio")


@pytest.fixture
def world() -> World:
    return cast.world()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the parts that take a moment; what is kept and shown is the same."""
    from collectives.audit import run

    monkeypatch.setattr(run, "PARTS", {name: run.PARTS[name] for name in PARTS})


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    monkeypatch.setattr("collectives.wakeups.send", lambda task, *args, **more: seen.append(task))
    return seen


def submitted(world: World, width: int = 8, **changes: Any) -> Algorithm:
    manifest = cast.MANIFEST | {"layers": stack([width, 1])} | changes
    return algorithms.submit(actor=world.people["aron"], manifest=manifest)


def report_of(algorithm: Algorithm, *, admitted: bool) -> dict[str, Any]:
    part = {
        "name": "sparsity",
        "title": "Places of one's own in a sum",
        "sentence": "Twenty sums.",
        "holds": admitted,
        "judged": True,
        "score": 80 if admitted else 0,
        "why": [] if admitted else ["wallets that stand out is 0.9, above 0.1"],
        "figures": [{"name": "wallets that stand out", "value": 0.9, "limit": 0.1, "holds": admitted}],
        "curves": [
            {
                "title": "By size",
                "x_label": "wallets",
                "labels": [5.0, 20.0],
                "series": [{"name": "share", "values": [0.5, 0.1]}],
            }
        ],
    }
    return {
        "version": 1,
        "manifest_hash": algorithm.manifest_hash,
        "admitted": admitted,
        "score": 80 if admitted else 20,
        "why": part["why"],
        "parts": [part],
        "conditions": {"bucket_min": 20, "release_min": 100},
        "command": f"manage.py audit --algorithm {algorithm.manifest_hash}",
        "report_hash": "ab" * 32,
    }


def concluded(algorithm: Algorithm, *, admitted: bool) -> Audit:
    found = report_of(algorithm, admitted=admitted)
    return Audit.objects.create(
        algorithm=algorithm,
        status="admitted" if admitted else "rejected",
        score=found["score"],
        report=found,
        finished_at=timezone.now(),
    )


def test_what_waits_for_review_is_audited_unasked(world: World, short: None, sent: list[str]) -> None:
    made = submitted(world)
    audits.look_after(timezone.now())
    assert not made.audits.exists(), "a moment passes first, for what is approved at once"
    audits.look_after(timezone.now() + timedelta(seconds=6))
    audits.look_after(timezone.now() + timedelta(seconds=8))
    row = made.audits.get()
    assert row.status == "waiting" and audits.TASK in sent
    tasks.audit_waiting()
    row.refresh_from_db()
    assert row.status == "admitted" and row.report["manifest_hash"] == made.manifest_hash
    assert [part["name"] for part in row.report["parts"]] == list(PARTS)
    assert row.report["records"] == "columns" and row.doing == ""
    assert world.algorithm.audits.count() == 0, "what was approved before is left alone"


def test_an_announced_algorithm_is_audited_with_its_collectives_records(world: World, short: None) -> None:
    from collectives.terms.requirements import requirement_hash

    audits.request(world.algorithm)
    assert audits.run_next(timezone.now())
    assert world.algorithm.audits.get().report["records"] == requirement_hash(cast.REQUIREMENT)


def test_one_runs_at_a_time_and_one_that_was_lost_is_begun_again_once(world: World) -> None:
    first, second = audits.request(world.algorithm), audits.request(submitted(world))
    assert audits.request(world.algorithm).pk == first.pk, "an open one is not doubled"
    now = timezone.now()
    Audit.objects.filter(pk=first.pk).update(status="running", started_at=now)
    assert not audits.run_next(now), "one runs already"
    later = now + audits.LOST
    audits.look_after(later)
    first.refresh_from_db()
    assert first.status == "waiting" and "begun again" in first.reason
    Audit.objects.filter(pk=first.pk).update(status="running", started_at=now)
    audits.look_after(later)
    first.refresh_from_db()
    assert first.status == "failed" and second.status == "waiting"


def test_one_that_breaks_does_not_stay_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from collectives.audit import run

    def broken(subject: object) -> None:
        raise MemoryError

    monkeypatch.setattr(run, "PARTS", {"form": broken})
    row = audits.request(world.algorithm)
    assert audits.run_next(timezone.now())
    row.refresh_from_db()
    assert row.status == "failed" and "MemoryError" in row.reason
    assert audits.standing(world.algorithm) is None


def test_what_an_audit_rejects_goes_no_further(world: World) -> None:
    made = submitted(world)
    concluded(made, admitted=False)
    with pytest.raises(CollectiveError) as refusal:
        algorithms.approve(actor=world.people["ada"], algorithm=made)
    assert refusal.value.code == "audit_rejected" and "stand out" in str(refusal.value)
    made.refresh_from_db()
    assert made.status == "submitted"
    concluded(made, admitted=True)
    algorithms.approve(actor=world.people["ada"], algorithm=made)


def test_a_rejection_after_the_review_stops_notice_terms_order_and_start(world: World) -> None:
    made, alice = submitted(world), world.people["alice"]
    algorithms.approve(actor=world.people["ada"], algorithm=made)
    concluded(made, admitted=False)
    made.refresh_from_db()
    with pytest.raises(CollectiveError, match="privacy audit rejects"):
        algorithms.announce(actor=alice, collective=world.collective, algorithm=made, reason="")
    with pytest.raises(CollectiveError, match="privacy audit rejects"):
        cast.register(alice, "Named in terms", manifests=[made.manifest_hash])
    concluded(world.algorithm, admitted=False)
    with pytest.raises(CollectiveError, match="privacy audit rejects"):
        jobs.create(
            actor=alice,
            collective=world.collective,
            algorithm=world.algorithm,
            max_rounds=1,
            visits_budget=1000,
            plan=JobPlan(cohort=100),
        )
    assert algorithms.activate_due(world.admission.effective_at + timedelta(days=1)) == 0
    assert Admission.objects.get(pk=world.admission.pk).status == "announced"


def test_the_admin_says_why_and_can_run_it_again(world: World) -> None:
    made = submitted(world)
    concluded(made, admitted=False)
    ada, url = world.client("ada"), reverse("admin:collectives_algorithm_changelist")
    rows = {"_selected_action": [str(made.pk)]}
    text = ada.post(url, {"action": "approve", **rows}, follow=True).content.decode()
    assert "privacy audit rejects" in text and "rejected by the audit" in text
    ada.post(url, {"action": "run_audit", **rows})
    assert made.audits.filter(status="waiting").count() == 1
    assert (
        "rejected by the audit"
        in ada.get(reverse("admin:collectives_algorithm_change", args=[made.pk])).content.decode()
    )


def test_who_approves_or_announces_is_told_that_it_is_not_audited(world: World) -> None:
    made, ada = submitted(world), world.client("ada")
    url = reverse("admin:collectives_algorithm_changelist")
    rows = {"_selected_action": [str(made.pk)]}
    text = ada.post(url, {"action": "approve", **rows}, follow=True).content.decode()
    assert "is approved without a privacy audit" in text
    announce = reverse("collective-announce", args=[world.collective.pk])
    assert "· not yet audited" in world.client("alice").get(announce).content.decode()
    concluded(made, admitted=True)
    assert "· audited, 80 of 100" in world.client("alice").get(announce).content.decode()


def test_pages_say_not_yet_audited_until_it_is(world: World) -> None:
    page, card = reverse("algorithm", args=[world.algorithm.manifest_hash]), model_card.build
    client = world.client("")
    assert "not yet audited" in client.get(page).content.decode()
    assert card(world.order)["algorithm"]["audit"] == "not yet audited"
    assert client.get(reverse("audit", args=[world.algorithm.manifest_hash])).status_code == 404
    concluded(world.algorithm, admitted=True)
    listed = client.get(reverse("algorithm-list")).content.decode()
    assert "audited, 80 of 100" in listed
    for url in (page, reverse("collective", args=[world.collective.pk])):
        text = client.get(url).content.decode()
        assert "audited, 80 of 100" in text and "not yet audited" not in text
        assert reverse("audit", args=[world.algorithm.manifest_hash]) in text
    assert card(world.order)["algorithm"]["audit"] == "audited, 80 of 100"


def test_the_report_stands_on_a_page_with_plots_and_in_a_file(world: World) -> None:
    row = concluded(world.algorithm, admitted=True)
    client, ident = world.client(""), world.algorithm.manifest_hash
    text = client.get(reverse("audit", args=[ident])).content.decode()
    for part in ("Places of one", "0.9", "<polyline", "--only sparsity", ident, "ab" * 32):
        assert part in text
    answer = client.get(reverse("audit-file", args=[ident]))
    assert json.loads(answer.content) == row.report
    assert "attachment" in answer.headers["Content-Disposition"]


def test_a_report_about_what_is_not_approved_is_its_authors_and_the_administrators(world: World) -> None:
    made = submitted(world)
    concluded(made, admitted=False)
    url = reverse("audit", args=[made.manifest_hash])
    codes = {name: world.client(name).get(url).status_code for name in ("", "charlie", "aron", "ada")}
    assert codes == {"": 404, "charlie": 404, "aron": 200, "ada": 200}
    text = world.client("aron").get(reverse("algorithms")).content.decode()
    assert "rejected by the audit" in text and url in text


def test_rows_that_say_nothing_cannot_be_kept(world: World) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Audit.objects.create(algorithm=world.algorithm, status="admitted", score=90)
    with pytest.raises(CollectiveError, match="another manifest"):
        audits.keep(submitted(world), report_of(world.algorithm, admitted=True))
    with pytest.raises(CollectiveError, match="without --only"):
        audits.keep(world.algorithm, report_of(world.algorithm, admitted=True))
    kept = audits.keep(world.algorithm, report_of(world.algorithm, admitted=False))
    assert kept.status == "rejected" and kept.finished_at is not None


def test_the_command_prints_the_verdict_keeps_the_report_and_draws(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, out = tmp_path / "manifest.json", tmp_path / "report.json"
    manifest.write_text(json.dumps(cast.MANIFEST), "utf-8")
    call_command(
        *("audit", "--manifest", str(manifest), "--only", "ratio", "--json", str(out)),
        *("--plots", str(tmp_path / "plots")),
    )
    printed = capsys.readouterr().out
    assert "ADMITTED, score" in printed and f"Again: manage.py audit --manifest {manifest}" in printed
    assert json.loads(out.read_text("utf-8"))["manifest_hash"] == world.algorithm.manifest_hash
    assert (tmp_path / "plots" / "ratio-1.svg").read_text("utf-8").count("<svg") == 1
    with pytest.raises(CommandError, match="without --only"):
        call_command("audit", "--algorithm", world.algorithm.manifest_hash, "--only", "ratio", "--keep")
    with pytest.raises(CommandError, match="rejects"):
        call_command("audit", "--bad", "noise-off", "--only", "canaries")
    with pytest.raises(CommandError, match="No algorithm with this hash"):
        call_command("audit", "--algorithm", "00" * 32)
    with pytest.raises(CommandError, match="No subject"):
        call_command("audit", "--self-check", "nobody")
    call_command("audit", "--self-check", "noise-off", "no clip")
    assert "All 2 came out as they should." in capsys.readouterr().out


def test_suspended_or_not_the_sweep_finds_what_waits(world: World, sent: list[str]) -> None:
    collectives.suspend(actor=world.people["ada"], collective=world.collective, reason="Why.")
    audits.request(world.algorithm)
    tasks.sweep()
    assert sent.count(audits.TASK) >= 1
