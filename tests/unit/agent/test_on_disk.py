"""What lies on the disk of a wallet that was lived in: nothing in plain, and of a deleted permit not even the ciphertext.

A key that was never there in plain cannot be looked for in plain. So the stored ciphertexts are taken out of the closed file before the
permit is deleted, and looked for piece by piece in whatever is there afterwards.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.agent import documents
from tests.unit.agent.test_membership import Make, link_to, make, subscribed, world
from tests.unit.agent.test_vault import at_rest, everything
from tests.unit.agent.world import World
from wallets.agent import leaving, membership
from wallets.agent.agent import WalletAgent

__all__ = ["make", "world"]  # fixtures
PIECE = 32
ROWS = """
import json, sqlite3, sys
rows = sqlite3.connect(sys.argv[1]).execute("SELECT value FROM items UNION SELECT value FROM items_tags").fetchall()
print(json.dumps([value.hex() for (value,) in rows if isinstance(value, bytes)]))
"""


async def ciphertexts(agent: WalletAgent, folder: Path, scratch: Path) -> set[bytes]:
    """Every stored value, as it is stored; read by another process from a copy, as two libraries in one process harm the file."""
    await agent.store.shut()
    shutil.copytree(await at_rest(folder), scratch)
    (database,) = scratch.glob("*.db")
    said = subprocess.run(
        [sys.executable, "-c", ROWS, str(database)], capture_output=True, check=True, timeout=60
    )
    return {bytes.fromhex(text) for text in json.loads(said.stdout)}


def left_of(values: set[bytes], raw: bytes) -> int:
    """How many pieces of these are still somewhere."""
    return sum(
        value[at : at + PIECE] in raw for value in values for at in range(0, len(value) - PIECE + 1, PIECE)
    )


@pytest.mark.parametrize("erasing", [True, False])
async def test_of_a_deleted_permit_and_its_keys_no_piece_is_left(
    make: Make, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, erasing: bool
) -> None:
    agent = await subscribed(make, world)
    before = await ciphertexts(agent, tmp_path / "w0", tmp_path / "before")
    if not erasing:  # what the test sees where erasing is left out

        async def nothing() -> bool:
            return True

        monkeypatch.setattr(agent.store, "erase", nothing)
    await leaving.revoke(agent, world.collective.id)
    after = await ciphertexts(agent, tmp_path / "w0", tmp_path / "after")
    gone = {value for value in before - after if len(value) >= PIECE}
    assert len(gone) >= 4  # permit, keys, memory and what was written over
    assert left_of(gone, everything(tmp_path / "before")) > 20
    left = left_of(gone, everything(tmp_path / "w0"))
    assert (left == 0) is erasing, left


async def test_a_wallet_that_was_lived_in_shows_nothing(make: Make, world: World, tmp_path: Path) -> None:
    agent = await make(world)
    await membership.pair(agent, link_to(world))
    await membership.subscribe(
        agent,
        {"collective_id": world.collective.id, "terms": world.collective.terms_envelope, "offer_ref": ""},
        through_pairing=False,
    )
    await agent.flush_outgoing()
    kept = await agent.store.get("keys", world.collective.id)
    entries = await agent.journal.entries()
    assert kept is not None
    assert len(entries) > 1
    words = [
        *(world.collective.id, "Heights", world.url, str(world.url.rsplit(":", 1)[1]), "cssi/v1"),
        *(name for name in documents.RECORD),
        *(entry.sentence for entry in entries if entry.sentence),
        *("permit", "journal", "requirement", "subscription_key", "commitment"),
        *kept.values(),
    ]
    open_files = everything(tmp_path / "w0")
    await agent.store.shut()
    for raw in (open_files, everything(await at_rest(tmp_path / "w0"))):
        assert len(raw) > 4096
        assert [word for word in words if len(word) > 4 and word.encode() in raw] == []
        assert not any(bytes.fromhex(value) in raw for value in kept.values())
