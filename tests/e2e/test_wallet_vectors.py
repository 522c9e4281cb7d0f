"""The published vectors in a real tab: the runner of tests/vectors/javascript, inside a module worker as the wallet's agent is."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Route

from tests.vectors.test_javascript import NAMES

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
ORIGIN = "http://localhost:9"
"""Nothing listens there: every file comes from the disk, through the browser's own routing."""
WORKER = """
import {replay} from "/tests/vectors/javascript/replay.js";
const load = async (name) => (await fetch(`/tests/vectors/${name}.json`)).json();
onmessage = async ({data}) => postMessage(await replay(load, data));
"""
MADE = {
    "/": ("text/html", "<!doctype html><title>vectors</title>"),
    "/worker.js": ("text/javascript", WORKER),
}


def serve(route: Route) -> None:
    path = route.request.url.removeprefix(ORIGIN)
    kind, body = MADE.get(path, (None, None))
    if body is None:
        file = ROOT / path.lstrip("/")
        if not file.is_file():
            route.fulfill(status=404)
            return
        kind, body = mimetypes.guess_type(file.name)[0], file.read_text("utf-8")
    route.fulfill(status=200, content_type=kind, body=body)


@pytest.fixture(scope="module")
def report(browser: Browser) -> Iterator[dict[str, Any]]:
    context = browser.new_context()
    context.route(f"{ORIGIN}/**", serve)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{ORIGIN}/")
    found = page.evaluate(
        """(names) => new Promise((done, failed) => {
            const worker = new Worker("/worker.js", {type: "module"});
            worker.onerror = (event) => failed(new Error(event.message || "the worker does not start"));
            worker.onmessage = ({data}) => done(JSON.stringify(data));
            worker.postMessage(names);
        })""",
        NAMES,
    )
    yield json.loads(found)
    context.close()


@pytest.mark.parametrize("name", NAMES)
def test_the_tab_computes_what_the_vectors_say(report: dict[str, Any], name: str) -> None:
    assert report[name]["failures"] == []
    assert report[name]["checks"] >= 4
