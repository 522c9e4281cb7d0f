"""`--browser-wallets`: what is refused before anything starts, who lives where, what the end says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from marketplace.demo import checks, chromium, report
from marketplace.demo.hosts import Hosts
from marketplace.demo.result import DemoResult, TabFacts


class Host:
    """Keeps wallets by name and answers what it was asked."""

    def __init__(self, name: str) -> None:
        self.name, self.asked = name, []  # type: ignore[var-annotated]

    def call(self, cmd: str, **fields: Any) -> dict[str, Any]:
        self.asked.append((cmd, fields))
        if cmd == "create":
            lines = Path(fields["records"]).read_text().splitlines()
            return {"wallets": [f"{self.name}-{line}" for line in lines]}
        return {"by": self.name}

    def events(self, name: str) -> list[dict[str, Any]]:
        return []

    def stop(self) -> None:
        self.asked.append(("stop", {}))


def test_the_first_wallets_live_in_tabs_and_the_others_in_hosts(tmp_path: Path) -> None:
    processes, tabs = [Host("a"), Host("b")], Host("tabs")
    hosts = Hosts(processes)  # type: ignore[arg-type]
    hosts.create([{"n": number} for number in range(7)], tmp_path, first=2)
    hosts.create_in(tabs, ["tab-0", "tab-1"])

    assert hosts.in_tabs() == [0, 1]
    assert hosts.of(1) == (tabs, "tab-1")
    assert [hosts.of(number)[1] for number in range(2, 7)] == [
        *('a-{"n": 2}', 'b-{"n": 3}', 'a-{"n": 4}', 'b-{"n": 5}', 'a-{"n": 6}')
    ]
    assert hosts.call(0, "permits") == {"by": "tabs"}
    assert tabs.asked == [("permits", {"wallet": "tab-0"})]
    hosts.stop()
    assert all(host.asked[-1][0] == "stop" for host in (*processes, tabs))


@pytest.mark.parametrize("number", [-1, 13, 17])
def test_a_number_of_tabs_that_cannot_be_is_refused_by_name(number: int) -> None:
    arguments = ["--wallets", "24", "--case", "job-performance", "--development-cohort", "12"]
    with pytest.raises(CommandError, match="between 0 and 12"):
        call_command("demo", *arguments, f"--browser-wallets={number}")


def test_without_a_browser_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chromium, "NAMES", ("no-such-browser",))
    arguments = ["--wallets", "24", "--case", "job-performance", "--development-cohort", "12"]
    with pytest.raises(CommandError, match="install the package chromium"):
        call_command("demo", *arguments, "--browser-wallets=2")


def result(rounds: list[list[int]], invited: int) -> DemoResult:
    made = DemoResult(
        title="t", generated_data=True, wallets=9, test_people=1, cohort=8, rounds_planned=3, seed=0
    )
    made.tabs = TabFacts(
        browser="Chrome/1.2", rounds=rounds, invited=invited, earned=15 * 10**15, picture=b"\xff\xd8"
    )
    return made


@pytest.mark.parametrize(
    ("rounds", "invited", "ok", "says"),
    [
        ([[1, 3], [2]], 3, True, "2 tabs of Chrome/1.2 accepted 3 rounds, took part in 3, earned 0.015"),
        ([[], []], 2, False, "took part in 0"),
        ([[], []], 0, True, "no cohort of this run drew one of them"),
    ],
)
def test_what_the_check_says(rounds: list[list[int]], invited: int, ok: bool, says: str) -> None:
    made = result(rounds, invited)
    checks.tabs_took_part(made)
    (check,) = made.checks
    assert (check.ok, says in check.detail) == (ok, True), check.detail


def test_the_report_shows_the_tabs(tmp_path: Path) -> None:
    report.write_html(result([[1, 3], []], 2), tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Wallets in browser tabs" in page
    assert '<th scope="row">1</th><td>1, 3</td>' in page
    assert '<th scope="row">2</th><td>none</td>' in page
    assert 'src="data:image/jpeg;base64,/9g="' in page
