"""How a demonstration talks to its wallet hosts."""

from __future__ import annotations

import inspect
import re

from marketplace.demo.hosts import HostProcess, Hosts
from wallets.host import control


def test_no_field_of_a_command_is_swallowed_by_the_call_that_carries_it() -> None:
    fields = set(re.findall(r"order(?:\.get\(|\[)\"(\w+)\"", inspect.getsource(control)))
    assert {"round", "seconds", "forget", "wallet"} <= fields
    assert not fields & (inspect.signature(HostProcess.call).parameters.keys() - {"cmd"})
    assert fields & (inspect.signature(Hosts.call).parameters.keys() - {"cmd"}) <= {"wallet"}
