"""The sandbox holds: every probe is blocked, limits bite, and only bounded, fixed answers come out."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import pytest_asyncio

from aggregation.wire import cbor
from aggregation.wire.secret import Secret
from tests.unit.agent import documents
from wallets.agent import vault
from wallets.agent.errors import SandboxError
from wallets.agent.sandbox import bubblewrap, probes, seccomp
from wallets.agent.sandbox.launcher import Launcher, TrainJob
from wallets.agent.sandbox.policy import NOBODY, Fault, Layer, Level, Limits

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.asyncio(loop_scope="module")


class LauncherBesideAWallet(Launcher):
    """Its children know one more way out: to read this very wallet, whose files everybody may read."""

    def __init__(self, wallet: Path) -> None:
        super().__init__(slots=2, bubblewrap=False)
        self.wallet = wallet

    def _code(self, descriptor: int) -> str:
        files = [str(path) for path in self.wallet.iterdir()]
        more = (
            "from pathlib import Path; from wallets.agent.sandbox import probes; "
            f"probes.PROBES.update((str(i), lambda path=path: bool(Path(path).read_bytes())) for i, path in enumerate({files!r})); "
        )
        return super()._code(descriptor).replace("worker.main()", f"{more}worker.main()")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def launcher() -> AsyncIterator[LauncherBesideAWallet]:
    """Without bubblewrap, so that the torch parent is this process's own child and the other layers stand alone."""
    with TemporaryDirectory(prefix="cssi-wallet-") as folder:
        wallet = Path(folder) / "wallet"
        store, _ = await vault.create(wallet, rng=secrets.token_bytes, host_key=Secret(bytes(32)))
        await store.close()
        for path in (Path(folder), wallet, *wallet.iterdir()):
            path.chmod(0o755)
        made = LauncherBesideAWallet(wallet)
        await made.start()
        yield made
        await made.close()


async def test_every_probe_is_blocked_and_every_layer_holds(launcher: Launcher) -> None:
    results = await launcher.self_test()
    assert [r.name for r in results if not r.blocked] == []
    assert {r.name for r in results} == set(probes.PROBES)
    assert launcher.missing == frozenset()
    how = {r.name: r.how for r in results}
    assert how["memory"] == Fault.MEMORY
    assert how["endless"] == Fault.TIME
    assert how["sleep"] == Fault.TIME
    assert how["oversized"] == Fault.OVERSIZED
    for name in probes.QUICK:
        assert how[name] == "blocked", name


async def test_the_wallet_itself_is_out_of_reach(launcher: LauncherBesideAWallet) -> None:
    """Not by its owner's rights, which are given away here, but by the walls."""
    files = list(launcher.wallet.iterdir())
    assert {path.suffix for path in files if path.read_bytes()} >= {".db", ".json"}
    for number in range(len(files)):
        assert (await launcher.probe(str(number))).how == "blocked", files[number].name


async def test_a_probe_that_gets_out_would_be_reported() -> None:
    """The self-test is not blind: the same probes escape when they run here, outside the sandbox."""
    for name in ("udp", "read_file", "fork", "other_descriptors", "own_environment"):
        assert probes.run(name) == probes.ESCAPED, name


def job(**changes: object) -> TrainJob:
    weights = np.array([0.5, -0.25, 0.125], "<f4")
    values: dict[str, object] = {
        "manifest": documents.manifest_bytes(),
        "weights": weights.tobytes(),
        "x": np.array([[0.5, -1.0]], "<f4").tobytes(),
        "x_shape": (1, 2),
        "y": np.array([[1.0]], "<f4").tobytes(),
        "y_shape": (1, 1),
        "seed": bytes(32),
        "dimension": 3,
    }
    return TrainJob(**{**values, **changes})  # type: ignore[arg-type]


async def test_a_job_gives_the_gradient_of_its_loss(launcher: Launcher) -> None:
    """Logistic regression by hand: (σ(w·x + b) − y) · (x, 1)."""
    update = np.frombuffer(await launcher.train(job()), dtype="<f4")
    x, w, b = np.array([0.5, -1.0]), np.array([0.5, -0.25]), 0.125
    error = 1 / (1 + np.exp(-(w @ x + b))) - 1
    assert np.allclose(update, [error * 0.5, error * -1.0, error], rtol=1e-5)


async def test_an_answer_of_another_length_is_refused(launcher: Launcher) -> None:
    for dimension, code in ((2, Fault.OVERSIZED), (4, Fault.SHORT)):
        with pytest.raises(SandboxError) as raised:
            await launcher.train(job(dimension=dimension))
        assert raised.value.code == code


async def test_a_visit_costs_little(launcher: Launcher) -> None:
    """A generous bound against regressions; the figure itself is in the docs."""
    visits, cpu_ms = launcher.visits, launcher.cpu_ms
    await asyncio.gather(*(launcher.train(job()) for _ in range(40)))
    assert launcher.visits - visits == 40
    assert (launcher.cpu_ms - cpu_ms) / 40 < 60


async def test_nothing_but_a_fixed_code_comes_out_of_a_failing_job(launcher: Launcher) -> None:
    with pytest.raises(SandboxError) as raised:
        await launcher._run(cbor.encode({"kind": "train", "secret": "my-salary-is-41"}), 100, Limits())
    assert raised.value.code == Fault.FAILED
    assert "41" not in str(raised.value)
    with pytest.raises(SandboxError) as garbage:
        await launcher._run(b"\xff\xff", 100, Limits())
    assert garbage.value.code == Fault.FAILED


async def test_a_cancelled_visit_kills_its_process_and_frees_its_slot(launcher: Launcher) -> None:
    slow = Limits(cpu_seconds=30, wall_seconds=30)
    tasks = [asyncio.create_task(launcher.probe("endless", limits=slow)) for _ in range(4)]
    await asyncio.sleep(0.3)
    assert _children_of(launcher) == 2  # the other two wait for a slot
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert _children_of(launcher) == 0
    result = await launcher.probe("tcp")
    assert result.how == "blocked"


async def test_a_dead_parent_is_started_again(launcher: Launcher) -> None:
    running = asyncio.create_task(launcher.probe("sleep", limits=Limits(wall_seconds=30)))
    await asyncio.sleep(0.2)
    assert launcher._process is not None
    launcher._process.kill()
    result = await running
    assert (result.how, result.blocked) == (Fault.LOST, False)  # a sandbox that went down has stopped nothing
    assert (await launcher.probe("tcp")).how == "blocked"


async def test_the_filter_has_a_table_for_both_architectures() -> None:
    for machine in seccomp.AUDIT_ARCH:
        body = seccomp.program(machine)
        assert len(body) % 8 == 0
        assert len(body) // 8 < 250
    with pytest.raises(KeyError):
        seccomp.program("pdp11")


class LauncherAsNobody(Launcher):
    """The torch parent gives up root before it isolates itself, so namespaces must come through a user namespace.

    It imports first: the interpreter may lie where nobody may read. Run by an unprivileged user it changes nothing.
    """

    def _code(self, descriptor: int) -> str:
        become = f"os.setgroups([]); os.setresgid(*[{NOBODY}] * 3); os.setresuid(*[{NOBODY}] * 3); "
        single = "os.environ.update(worker.SINGLE_THREAD); "  # a process with threads may not make a user namespace
        drop = f"import os; {single}worker._warm_up(); {become if os.geteuid() == 0 else ''}worker.main()"
        return super()._code(descriptor).replace("worker.main()", drop)


async def test_it_holds_for_an_unprivileged_user_too() -> None:
    launcher = LauncherAsNobody(slots=1, bubblewrap=False)
    try:
        results = await launcher.self_test(probes.QUICK)
        assert [r.name for r in results if not r.blocked] == []
        assert launcher.missing == frozenset()
        assert launcher._process is not None
        status = Path(f"/proc/{launcher._process.pid}/status").read_text()
        real_user = int(status.split("Uid:")[1].split()[0])
        assert real_user != 0
    finally:
        await launcher.close()


async def test_with_bubblewrap_every_probe_is_blocked_and_the_walls_add_up() -> None:
    """Where bubblewrap is installed it is one more layer; where not, this is the sandbox of the tests above."""
    launcher = Launcher(slots=1)
    try:
        results = await launcher.self_test()
        assert [r.name for r in results if not r.blocked] == []
        assert {r.name: r.how for r in results}["sleep"] == Fault.TIME
        assert launcher.level is Level.FULL
        assert (Layer.ROOT in launcher.layers) == (bubblewrap.installed() is not None)
        update = np.frombuffer(await launcher.train(job()), dtype="<f4")
        assert update.shape == (3,)
    finally:
        await launcher.close()


async def test_a_bubblewrap_that_cannot_start_here_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "installed", lambda: str(broken))
    launcher = Launcher(slots=1)
    try:
        assert (await launcher.probe("tcp")).blocked
        assert Layer.ROOT not in launcher.layers
        assert launcher.level is Level.FULL
    finally:
        await launcher.close()


async def test_what_bubblewrap_shows_holds_no_wallet_and_no_home(tmp_path: Path) -> None:
    words = bubblewrap.command("bwrap", ["python"], tmp_path)
    shown = {words[i + 1] for i, word in enumerate(words) if word == "--ro-bind-try"}
    assert not any(
        str(Path.home()) == path or path in {"/", "/home", "/etc", "/var", "/tmp"} for path in shown
    )
    assert all(str(tmp_path / name) in shown for name in bubblewrap.PACKAGES)
    assert str(tmp_path) not in shown


@pytest.mark.parametrize("user", ["as it is", "unprivileged"])
async def test_the_command_prints_the_table_and_exits_0(user: str) -> None:
    """`selftest` as whoever runs the tests, and with everything given up (another interpreter, as ours may be out of reach)."""
    here = [sys.executable, "-m", "wallets.agent"]
    if user == "unprivileged" and os.geteuid() == 0:
        give_up = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        give_up += ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
        here = [*give_up, *reachable_interpreter()]
    process = await asyncio.create_subprocess_exec(
        *here, "selftest", cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, err.decode()
    lines = out.decode().splitlines()
    assert [line.split()[:2] for line in lines[1 : 1 + len(probes.PROBES)]] == [
        [name, "blocked"] for name in probes.PROBES
    ]
    assert "Level: full." in lines


def reachable_interpreter() -> list[str]:
    """A Python of this version that everybody may run, with this environment's packages."""
    name = f"python3.{sys.version_info.minor}"
    found = [path for path in (f"/usr/local/bin/{name}", f"/usr/bin/{name}") if Path(path).exists()]
    if not found:
        pytest.skip(
            f"not possible here: no {name} outside a home directory; the test above covers the layers"
        )
    paths = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    code = f"import sys; sys.path[:0] = {paths!r}; from wallets.agent.cli import main; sys.exit(main(sys.argv[1:]))"
    return [found[0], "-c", code]


def _children_of(launcher: Launcher) -> int:
    assert launcher._process is not None
    path = Path(f"/proc/{launcher._process.pid}/task/{launcher._process.pid}/children")
    return len(path.read_text().split())
