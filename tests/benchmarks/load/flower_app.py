"""The same model, records and rounds as a Flower app: clients with one record each send a clipped gradient behind SecAgg+.

Runs in the environment of `make bench-peers`, never in the platform's. numpy only, so that neither side pays for torch: the model is the
platform's "skill-profile" net (8 → 16 tanh → 26, 586 parameters, squared error), its gradient written out by hand.

    python -m flower_app simulation NODES ROUNDS  |  imported by the Flower app made in `flower.py`
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import numpy as np
from flwr.client import ClientApp, NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.common import Context, ndarrays_to_parameters
from flwr.server import Driver, LegacyContext, ServerApp, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow

IN, HIDDEN, OUT = 8, 16, 26
SIZES = (HIDDEN * IN, HIDDEN, OUT * HIDDEN, OUT)
CLIP = 1.0


def gradient(flat: Any, x: Any, y: Any) -> Any:
    """Of the mean squared error of one record, clipped to L2 norm 1; float32 [586]."""
    cuts = np.cumsum(SIZES)[:-1]
    w1, b1, w2, b2 = np.split(flat, cuts)
    w1, w2 = w1.reshape(HIDDEN, IN), w2.reshape(OUT, HIDDEN)
    h = np.tanh(w1 @ x + b1)
    error = 2 * (w2 @ h + b2 - y) / OUT
    back = (w2.T @ error) * (1 - h * h)
    found = np.concatenate([np.outer(back, x).ravel(), back, np.outer(error, h).ravel(), error])
    norm = float(np.linalg.norm(found))
    return (found * min(1.0, CLIP / max(norm, 1e-12))).astype(np.float32)


class Wallet(NumPyClient):
    """One person's record, drawn from the node's own number."""

    def __init__(self, number: int) -> None:
        self._x = np.sin(np.arange(IN) * 12.9898 + number).astype(np.float32)
        self._y = np.abs(np.sin(np.arange(OUT) * 78.233 + number)).astype(np.float32)

    def fit(self, parameters: list[Any], config: dict[str, Any]) -> tuple[list[Any], int, dict[str, Any]]:
        return [gradient(parameters[0], self._x, self._y)], 1, {}


def client_fn(context: Context) -> Any:
    return Wallet(int(context.node_id) % 1_000_003).to_client()


client = ClientApp(client_fn=client_fn, mods=[secaggplus_mod])
server = ServerApp()
NODES, ROUNDS = int(os.environ.get("BENCH_NODES", "10")), int(os.environ.get("BENCH_ROUNDS", "3"))


@server.main()
def main(driver: Driver, context: Context) -> None:
    """All nodes take part in every round; says when the first round began and the last ended."""
    start = np.sin(np.arange(sum(SIZES)) * 3.7).astype(np.float32)
    strategy = FedAvg(
        fraction_fit=1.0,
        fraction_evaluate=0.0,
        min_fit_clients=NODES,
        min_available_clients=NODES,
        initial_parameters=ndarrays_to_parameters([start]),
    )
    deadline = time.monotonic() + 300
    while len(list(driver.get_node_ids())) < NODES and time.monotonic() < deadline:
        time.sleep(0.2)
    legacy = LegacyContext(context=context, config=ServerConfig(num_rounds=ROUNDS), strategy=strategy)
    shares = min(NODES, 50)
    fit = SecAggPlusWorkflow(
        num_shares=shares,
        reconstruction_threshold=max(2, round(0.76 * shares)),
        clipping_range=CLIP,
        max_weight=2,
    )
    began = time.time()
    DefaultWorkflow(fit_workflow=fit)(driver, legacy)
    done = {"seconds": time.time() - began}
    with open(os.environ["BENCH_OUT"], "w", encoding="utf-8") as out:
        json.dump(done | {"nodes": NODES, "visits": NODES * ROUNDS}, out)


if __name__ == "__main__":
    from flwr.simulation import run_simulation

    os.environ["BENCH_NODES"], os.environ["BENCH_ROUNDS"] = sys.argv[2:4]
    NODES, ROUNDS = int(sys.argv[2]), int(sys.argv[3])
    run_simulation(
        server_app=server,
        client_app=client,
        num_supernodes=NODES,
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )
