"""The site that is imagined: how many people, how much they are asked, and the arithmetic of what that needs. No randomness here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tests.benchmarks.scale.costs import Costs

DAY = 86_400
BUCKET = 50


@dataclass(frozen=True, kw_only=True)
class World:
    """A day of a site.

    Attributes:
        collectives, subscriptions: how many there are, and to how many of them a wallet is subscribed.
        visits_per_wallet: a day's visits of one wallet, in the mean.
        online: the mean share of wallets that are connected; `swing` the part of it that comes and goes with the hour.
        rate, lot: base units; a wallet is paid whole lots.
        round_seconds: by the clock, for phones that train and answer; not for the server's work.
        utilisation: how busy a core may be on the average of the busiest hour.
    """

    wallets: int = 10_000_000
    collectives: int = 100
    subscriptions: int = 3
    visits_per_wallet: float = 1.0
    cohort: int = 1_000
    over_selection: float = 1.1
    online: float = 0.4
    swing: float = 0.5
    round_seconds: float = 150.0
    rate: int = 5 * 10**15
    lot: int = 5 * 10**16
    distributor_shards: int = 64
    sockets_per_process: int = 10_000
    utilisation: float = 0.6
    gas_per_second: float = 5_000_000.0
    """Of the chain, that this site may use: a small part of a rollup's."""

    @property
    def subscribers(self) -> int:
        """Of one collective."""
        return self.wallets * self.subscriptions // self.collectives

    @property
    def visits(self) -> int:
        """Of all wallets in a day."""
        return int(self.wallets * self.visits_per_wallet)

    @property
    def rounds(self) -> int:
        return math.ceil(self.visits / self.cohort)


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a day needs, by arithmetic."""

    rounds: int
    visits_per_s: float
    peak_visits_per_s: float
    running_rounds: float
    aggregator_cpu_s: float
    aggregator_cores: int
    draw_cpu_s: float
    draw_cores_one_list: float
    peak_connections: int
    socket_processes: int
    socket_memory_gib: float
    reconnect_seconds: float
    upload_bytes_per_s: float
    root_bytes_per_round: int
    sum_levels: int
    ledger_rows: int
    paid_wallets: int
    gas: float
    gas_per_visit: float
    chain_seconds: float


def busiest(world: World) -> float:
    """How much more happens in the busiest moment than on the average: rounds follow who is connected."""
    return 1 + world.swing


def needs(world: World, costs: Costs) -> Needs:
    peak = busiest(world)
    per_s = world.visits / DAY
    aggregator = world.visits * costs.server_cpu_s
    looked_at = world.rounds * world.subscribers * world.online
    connections = math.ceil(world.wallets * world.online * peak)
    processes = math.ceil(connections / world.sockets_per_process)
    buckets = math.ceil(world.cohort / BUCKET)
    # A wallet is paid when a lot is full, so in the long run every `lot` of earnings is one payment.
    paid = int(min(world.wallets, world.visits * world.rate // world.lot))
    gas = paid * costs.push_gas + world.collectives * costs.settle_gas + costs.publish_gas
    return Needs(
        rounds=world.rounds,
        visits_per_s=per_s,
        peak_visits_per_s=per_s * peak,
        running_rounds=world.rounds * world.round_seconds / DAY,
        aggregator_cpu_s=aggregator,
        aggregator_cores=math.ceil(aggregator / DAY * peak / world.utilisation),
        draw_cpu_s=looked_at * costs.draw_cpu_s,
        draw_cores_one_list=looked_at * costs.draw_cpu_s / DAY * peak / world.utilisation,
        peak_connections=connections,
        socket_processes=processes,
        socket_memory_gib=connections * costs.idle_bytes / 2**30,
        reconnect_seconds=connections / processes / costs.connects_per_s,
        upload_bytes_per_s=per_s * peak * 4 * costs.d,
        root_bytes_per_round=buckets * 8 * costs.d,
        sum_levels=max(1, math.ceil(math.log(max(buckets, 2), BUCKET))),
        ledger_rows=world.visits,
        paid_wallets=paid,
        gas=gas,
        gas_per_visit=gas / world.visits,
        chain_seconds=gas / world.gas_per_second,
    )
