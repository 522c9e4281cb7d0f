"""Flower's SecAgg+ in process, CPU per party as one line of JSON. Runs in `.venv-peers` (`make bench-peers`), imports nothing of ours.

    .venv-peers/bin/python tests/benchmarks/secagg/flower_peer.py '{"n": 100, "d": 10000, "lost": 10, "k": 40, "t": 11}'

The workflow of the server and the mod of the client are called as they are, through a grid that hands messages over in memory. What
favours Flower: messages are neither encoded nor parsed on the clock, the strategy behind the workflow is free, no training happens.
The lost clients fall silent after sharing keys, as ours do.
"""

from __future__ import annotations

import copy
import gc
import json
import logging
import sys
import time
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.client.mod.secure_aggregation.secaggplus_mod import secaggplus_mod
from flwr.common import Code, FitIns, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage
from flwr.compat.common import recorddict_compat as compat
from flwr.server.compat.legacy_context import LegacyContext
from flwr.server.strategy import FedAvg
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.server.workflow.secure_aggregation.secaggplus_workflow import SecAggPlusWorkflow
from flwr.supercore.task_identity import TaskIdentity

WEIGHT = 1000  # every client's weight is the largest allowed, so the quantised factor is exact


def context(node: int) -> Context:
    return Context(run_id=1, node_id=node, node_config={}, state=RecordDict(), run_config={})


class Client:
    """One node: its persistent context, its fixed update, its CPU seconds and uploaded bytes."""

    def __init__(self, node: int, update: np.ndarray) -> None:
        self.context = context(node)
        self.cpu, self.uploaded = 0.0, 0
        self._result = compat.fitres_to_recorddict(
            FitRes(
                status=Status(code=Code.OK, message=""),
                parameters=ndarrays_to_parameters([update]),
                num_examples=WEIGHT,
                metrics={},
            ),
            keep_input=True,
        )

    def _train(self, message: Message, _: Context) -> Message:
        return Message(copy.deepcopy(self._result), reply_to=message)

    def answer(self, message: Message) -> Message:
        gc.freeze()
        began = time.process_time()
        reply = secaggplus_mod(message, self.context, self._train)
        self.cpu += time.process_time() - began
        self.uploaded += sum(map(payload, reply.content.config_records[RECORD_KEY_CONFIGS].values()))
        return reply


def payload(value: Any) -> int:
    """Bytes a value takes at least on the wire: no framing, 8 for a number."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, list):
        return sum(map(payload, value))
    return 8


class MemoryGrid:
    """Delivers messages to the clients. Its own time and the clients' are kept apart from the server's."""

    def __init__(self, clients: dict[int, Client], lost: set[int]) -> None:
        self._clients, self._lost = clients, lost
        self.away = 0.0

    def send_and_receive(self, messages: list[Message], *, timeout: float | None = None) -> list[Message]:
        began = time.process_time()
        replies = []
        for message in messages:
            message = copy.deepcopy(message)
            stage = message.content.config_records[RECORD_KEY_CONFIGS][Key.STAGE]
            node = message.metadata.dst_node_id
            if node in self._lost and stage in (Stage.COLLECT_MASKED_VECTORS, Stage.UNMASK):
                continue
            replies.append(self._clients[node].answer(message))
        gc.freeze()
        self.away += time.process_time() - began
        return replies


class FreeStrategy(FedAvg):
    """Asks every client and takes the workflow's average as it is."""

    def __init__(self, nodes: list[int], start: Any) -> None:
        super().__init__()
        self._nodes, self._start = nodes, start

    def configure_fit(self, server_round: int, parameters: Any, client_manager: Any) -> list[Any]:
        return [(SimpleNamespace(node_id=node), FitIns(self._start, {})) for node in self._nodes]

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
        return results[0][1].parameters, {}


def run(n: int, d: int, lost: int, k: int, t: int) -> dict[str, Any]:
    """One round; k neighbours besides oneself, threshold t, `lost` clients silent after sharing keys."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 0
    draw = np.random.default_rng(1)  # noqa: TID251 - the peer's environment has none of our streams
    updates = {node: draw.uniform(-1, 1, d) for node in range(1, n + 1)}
    clients = {node: Client(node, update) for node, update in updates.items()}
    silent = set(range(1, lost + 1))
    start = ndarrays_to_parameters([np.zeros(d)])
    server = LegacyContext(context(0), strategy=FreeStrategy(list(updates), start))
    server.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({WorkflowKey.CURRENT_ROUND: 1})
    server.state.array_records[MAIN_PARAMS_RECORD] = compat.parameters_to_arrayrecord(start, True)
    grid = MemoryGrid(clients, silent)
    workflow = SecAggPlusWorkflow(k + 1, t, max_weight=WEIGHT)
    began = time.process_time()
    workflow(grid, server)
    cpu = time.process_time() - began - grid.away
    result = compat.arrayrecord_to_parameters(server.state.array_records[MAIN_PARAMS_RECORD], True)
    expected = np.mean([update for node, update in updates.items() if node not in silent], axis=0)
    worst = float(np.max(np.abs(parameters_to_ndarrays(result)[0] - expected)))
    talkers = [client for node, client in clients.items() if node not in silent]
    return {
        "server_cpu": cpu,
        "client_cpu": median(client.cpu for client in talkers),
        "upload": int(median(client.uploaded for client in talkers)),
        "error": worst,
    }


if __name__ == "__main__":
    gc.set_threshold(50_000, 20, 100)  # as our aggregator
    logging.disable(logging.CRITICAL)
    print(json.dumps(run(**json.loads(sys.argv[1]))))
