"""The live page over its real socket: what is new appears without a reload, pausing holds it back, and it stays in the reader's language."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from django.urls import reverse
from playwright.sync_api import Page

from collectives.models import Checkpoint, Job, Round
from marketplace import asgi
from marketplace.jobs.models import Metric
from tests.apps.cast import World
from tests.e2e.conftest import Open, apart
from tests.e2e.looking import open_everything, violations

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True, databases="__all__")]
QUIET = 1000
"""Milliseconds in which a page that listens would long have drawn what came: live.js waits 400."""
NOTE_CHARTS = """
window.drawn = [];
let real;
Object.defineProperty(window, "uPlot", {
  get: () => real,
  set: (given) => {
    const construct = (target, args) => { window.drawn.push(args[1]); return Reflect.construct(target, args); };
    real = new Proxy(given, { construct });
  },
});
"""
Measure = Callable[[int, float], None]


@pytest.fixture
def site(world: World) -> Iterator[str]:
    """The address of the whole application, sockets included, served from a thread of this process; its name is that of which the cookies are."""
    config = uvicorn.Config(
        asgi.application,
        port=0,
        log_config=None,
        log_level="error",
        lifespan="off",
        ws="websockets-sansio",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://localhost:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def running(world: World) -> World:
    """A job in its fourth round; the checkpoints 0 and 1 are measured."""

    def lived() -> None:
        job = world.order.job_id
        Job.objects.filter(pk=job).update(status="running", visits_earned=330)
        for number in (1, 2, 3):
            Round.objects.create(
                job_id=job, number=number, status="posted", joined=110, survivors=103, receipts=110
            )
            Checkpoint.objects.create(
                job_id=job, number=number, weights=b"", moments=b"", hash=f"{number:064x}", wallets=103
            )
        for number, value in ((0, 0.5), (1, 0.625)):
            Metric.objects.create(order=world.order, checkpoint=number, name="accuracy", value=value)

    apart(lived)
    return world


@pytest.fixture
def measure(running: World, site: str, visit: Open) -> Measure:
    """`measure(2, 0.75)`: the consumer reports it from another window, on the result page."""
    window = visit("carla")

    def report(number: int, value: float) -> None:
        window.goto(f"{site}{reverse('result', args=[running.order.job_id])}")
        open_everything(window)
        form = window.locator(f"form[action='{reverse('job-metric', args=[running.order.job_id])}']")
        form.locator("[name=checkpoint]").fill(str(number))
        form.locator("[name=name]").fill("accuracy")
        form.locator("[name=value]").fill(str(value))
        form.locator("button").click()
        window.get_by_text("Your measurement is on the chart.").wait_for()

    return report


def listening(page: Page, address: str) -> None:
    """The page is open and its socket has spoken once."""
    page.add_init_script(NOTE_CHARTS)
    with page.expect_websocket() as opened:
        page.goto(address)
    opened.value.wait_for_event("framereceived")
    page.evaluate("window.stayed = true")


def table(page: Page) -> list[list[str]]:
    """The rows of the chart's table, whether it is open or not."""
    rows: list[list[str]] = page.locator("#live [data-chart-table] tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return rows


def grown(page: Page, rows: int) -> None:
    page.locator(f"#live [data-chart-table] tbody tr:nth-child({rows})").wait_for(state="attached")
    assert len(table(page)) == rows


def test_a_new_point_is_drawn_without_a_reload(
    visit: Open, running: World, site: str, measure: Measure
) -> None:
    page = visit("carla")
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    listening(page, f"{site}{reverse('job', args=[running.order.job_id])}")
    canvas = page.locator("#live canvas")
    canvas.wait_for()
    assert canvas.get_attribute("aria-label") == "Metrics by checkpoint"
    assert table(page) == [["0", "0.5000"], ["1", "0.6250"]]
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    numbers = page.get_by_text("The numbers as a table")
    numbers.click()
    measure(2, 0.75)
    grown(page, 3)
    assert table(page)[2] == ["2", "0.7500"]
    assert page.evaluate("window.drawn.at(-1)") == [[0, 1, 2], [0.5, 0.625, 0.75]]
    assert canvas.count() == 1
    assert canvas.evaluate("canvas => canvas.toDataURL()") != before
    assert page.evaluate("window.stayed"), "the page was loaded anew"
    assert page.locator("#live [data-chart-table]").is_visible(), "what was open is open"
    assert numbers.evaluate("summary => summary === document.activeElement"), "the focus stays where it was"
    assert problems == []


def test_pausing_holds_updates_back_until_they_are_resumed(
    visit: Open, running: World, site: str, measure: Measure
) -> None:
    page = visit("carla")
    frames: list[Any] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(frame)))
    listening(page, f"{site}{reverse('job', args=[running.order.job_id])}")
    page.locator("#live canvas").wait_for()
    page.wait_for_timeout(QUIET)
    page.get_by_role("button", name="Pause updates").click()
    resume = page.get_by_role("button", name="Resume updates")
    assert resume.get_attribute("aria-pressed") == "true"
    shown, heard = page.locator("#live").inner_html(), len(frames)
    measure(2, 0.75)
    apart(lambda: Job.objects.filter(pk=running.order.job_id).update(status="paused"))
    measure(3, 0.875)
    page.wait_for_timeout(QUIET)
    assert len(frames) > heard, "nothing came that could be held back"
    assert page.locator("#live").inner_html() == shown
    assert page.get_by_role("button", name="Pause after this round").is_visible()
    assert "running" in page.title()
    resume.click()
    grown(page, 4)
    page.get_by_role("button", name="Go on").wait_for()
    assert "paused" in page.title()
    measure(0, 0.25)
    page.locator("#live [data-chart-table] tbody tr", has_text="0.2500").wait_for(state="attached")
    page.get_by_role("button", name="Pause updates").click()
    page.get_by_role("button", name="Resume updates").click()
    page.wait_for_timeout(QUIET)
    assert table(page)[0] == ["0", "0.2500"], "what was held back before is shown again"
    assert page.evaluate("window.stayed"), "the page was loaded anew"


def test_what_arrives_is_in_the_language_of_the_page(
    visit: Open, running: World, site: str, measure: Measure
) -> None:
    """In the narrow, dark window, where axe looks at the chart as well."""
    page = visit("carla", width=320, scheme="dark")
    page.set_extra_http_headers({"Accept-Language": "de"})
    listening(page, f"{site}{reverse('job', args=[running.order.job_id])}")
    measure(2, 0.75)
    grown(page, 3)
    assert table(page)[2] == ["2", "0,7500"]
    assert page.evaluate("window.drawn.at(-1)") == [[0, 1, 2], [0.5, 0.625, 0.75]]
    page.get_by_role("heading", name="Wie gut das Modell ist").wait_for()
    open_everything(page)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
