"""A real Chromium, driven through its own debugging door: windows with storage of their own, clicks, files, and what runs in workers.

Chrome DevTools Protocol over one websocket, its sessions flat (https://chromedevtools.github.io/devtools-protocol/). A browser driver would
be another dependency and would switch off what a demo is to show: the throttling of windows nobody looks at.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from marketplace.supervisor.process import die_with_parent

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1100,900",
)
START_SECONDS, ANSWER_SECONDS = 60.0, 60.0


class BrowserError(RuntimeError):
    """The browser refused or ended; the sentence says what it was asked."""


def installed() -> str | None:
    """The path of a Chromium on this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """One browser process with a profile folder. Methods may be called from several threads."""

    def __init__(self, path: str, *, profile: Path, log: Path, flags: tuple[str, ...] = ()) -> None:
        profile.mkdir(parents=True, exist_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
        # Its own sandbox needs user namespaces of somebody who is not root.
        walls = () if os.geteuid() else ("--no-sandbox",)
        with log.open("ab") as errors:
            self.process = subprocess.Popen(  # noqa: S603 - the browser of this machine
                [path, *FLAGS, *flags, *walls, f"--user-data-dir={profile}", "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl call
            )
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._listeners: list[Callable[[dict[str, Any]], None]] = []
        self._socket = self._connected(profile / "DevToolsActivePort")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.version = str(self.send("Browser.getVersion")["product"])

    def _connected(self, told: Path) -> ClientConnection:
        limit = time.monotonic() + START_SECONDS
        while not (told.exists() and len(lines := told.read_text().split()) == 2):
            if self.process.poll() is not None or time.monotonic() > limit:
                raise BrowserError("The browser did not start; its log says why.")
            time.sleep(0.1)
        port, path = lines
        return connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None)

    def listen(self, listener: Callable[[dict[str, Any]], None]) -> None:
        """Every event, in the reader's thread."""
        self._listeners.append(listener)

    def send(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """One command and its answer.

        Raises:
            BrowserError: refused, not answered in time, or the browser has ended.
        """
        answer: Future[dict[str, Any]] = Future()
        message: dict[str, Any] = {"method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        with self._lock:
            message["id"] = next(self._ids)
            self._waiting[message["id"]] = answer
            try:
                self._socket.send(json.dumps(message))
            except ConnectionClosed as error:
                raise BrowserError("The browser has ended.") from error
        try:
            found = answer.result(ANSWER_SECONDS)
        except TimeoutError as error:
            raise BrowserError(f"The browser did not answer {method}.") from error
        if "error" in found:
            raise BrowserError(f"The browser refused {method}: {found['error'].get('message', '')}")
        return dict(found["result"])

    def _read(self) -> None:
        try:
            for text in self._socket:
                message = json.loads(text)
                if "id" in message:
                    with self._lock:
                        waiting = self._waiting.pop(message["id"], None)
                    if waiting is not None:
                        waiting.set_result(message)
                    continue
                for listener in tuple(self._listeners):
                    listener(message)
        except ConnectionClosed:
            pass
        with self._lock:
            for waiting in self._waiting.values():
                waiting.set_exception(BrowserError("The browser has ended."))
            self._waiting.clear()

    def stop(self) -> None:
        """End the browser and all its processes."""
        if self.process.poll() is None:
            try:
                self.send("Browser.close")
                self.process.wait(10)
            except (BrowserError, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait(10)
        self._socket.close()


class Window:
    """One page. Alone it shares no cookie, database or file with any other window; `beside` another it shares all of that window's."""

    def __init__(self, browser: Chromium, *, downloads: Path, beside: Window | None = None) -> None:
        self.browser, self.downloads = browser, downloads
        self.told: list[dict[str, Any]] = []
        """What watched workers said, oldest first."""
        self._workers: dict[str, str] = {}
        self._context: str = beside._context if beside else self._new_context()
        downloads.mkdir(parents=True, exist_ok=True)
        where = {"browserContextId": self._context}
        browser.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads), **where)
        self.target = str(browser.send("Target.createTarget", url="about:blank", **where)["targetId"])
        self.session = str(
            browser.send("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        )
        browser.listen(self._happened)
        self.send("Page.enable")
        self.send("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True)

    def _new_context(self) -> str:
        return str(self.browser.send("Target.createBrowserContext", disposeOnDetach=True)["browserContextId"])

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.send(method, self.session, **parameters)

    def _happened(self, message: dict[str, Any]) -> None:
        session, told = message.get("sessionId"), message["params"]
        if message["method"] == "Runtime.bindingCalled" and session in self._workers:
            self.told.append(json.loads(told["payload"]))
        elif session != self.session:
            return
        elif message["method"] == "Target.attachedToTarget" and told["targetInfo"]["type"] == "worker":
            self._workers[told["sessionId"]] = told["targetInfo"]["url"]
        elif message["method"] == "Target.detachedFromTarget":
            self._workers.pop(told["sessionId"], None)

    def worker(self, name: str) -> str:
        """The session of the worker whose script ends so, or nothing."""
        return next((session for session, url in tuple(self._workers.items()) if url.endswith(name)), "")

    def watch(self, worker: str, script: str, *arguments: Any) -> None:
        """Call a function in a worker that may say things, as JSON, with `tell(text)`."""
        self.browser.send("Runtime.enable", worker)
        self.browser.send("Runtime.addBinding", worker, name="tell")
        self.evaluate(script, *arguments, session=worker)

    def go(self, url: str) -> None:
        self.send("Page.navigate", url=url)

    def evaluate(self, script: str, *arguments: Any, session: str = "") -> Any:
        """The JSON value of a function called with the arguments; promises are awaited.

        Raises:
            BrowserError: it threw.
        """
        told = self.browser.send(
            "Runtime.evaluate",
            session or self.session,
            expression=_call(script, arguments),
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        if "exceptionDetails" in told:
            problem = told["exceptionDetails"]
            raise BrowserError(str(problem.get("exception", {}).get("description", problem["text"])))
        return told["result"].get("value")

    def choose_files(self, script: str, paths: list[Path], *arguments: Any) -> None:
        """Give files to the input that the function finds."""
        found = self.send("Runtime.evaluate", expression=_call(script, arguments))["result"]
        if "objectId" not in found:
            raise BrowserError("There is no such place for a file on the page.")
        self.send("DOM.setFileInputFiles", files=[str(path) for path in paths], objectId=found["objectId"])

    def picture(self) -> bytes:
        """What is seen, as JPEG."""
        told = self.send("Page.captureScreenshot", format="jpeg", quality=80)
        return base64.b64decode(told["data"])

    def close(self) -> None:
        self.browser.send("Target.closeTarget", targetId=self.target)


def _call(script: str, arguments: tuple[Any, ...]) -> str:
    return f"({script})(...{json.dumps(arguments)})"
