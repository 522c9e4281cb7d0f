# %% [markdown]
# # A first training job
#
# Find a collective, order, watch, look at the model. Every `# %%` begins a cell: open this file as a notebook, or run it whole.
# It needs two environment variables: `CSSI_MARKET`, the address of the marketplace, and `CSSI_TOKEN`, a token from the account page
# of somebody with the role "data consumer".

# %%
from __future__ import annotations

import os
import tempfile
from pathlib import Path

from marketplace.client import Market, in_tokens

market = Market(os.environ["CSSI_MARKET"], token=os.environ["CSSI_TOKEN"])

# %% [markdown]
# ## What is there?
# Numbers of subscribers come in steps: an exact count would tell who joined today.

# %%
for found in market.collectives(sort="subscribers"):
    print(f"{found.name}: {found.purpose}")
    print(f"  {found.subscribers} subscribers, {in_tokens(found.rate)} {found.token} for each visit")
    print(f"  reads {', '.join(found.fields)}")

# %% [markdown]
# ## Which algorithms may run there?
# Only those that every subscriber was told of, and only from their date on.

# %%
collective = market.collective(next(market.collectives(sort="subscribers")).id)
for algorithm in collective.algorithms:
    print(algorithm.name, "may run from", algorithm.effective.date())

chosen = market.algorithm(collective.algorithms[0].manifest_hash)
print(f"“{chosen.name}” has {chosen.parameters} parameters: {chosen.manifest['purpose']}")

# %% [markdown]
# ## What does a budget buy?
# Budget divided by rate is visits. One round visits at least the collective's smallest group.

# %%
rounds = int(os.environ.get("CSSI_ROUNDS", "1"))
visits = 2 * rounds * collective.release_min
budget = visits * collective.rate
costs = market.costs(collective.id, budget)
print(
    f"{visits} visits cost {in_tokens(budget)} {collective.token}, with every fee {in_tokens(int(costs['total']))}"
)

# %% [markdown]
# ## Order, fund, wait
# `order` may be sent again: the same key is the same job. Nothing is charged before `fund`, and only visits whose data was proven
# present are ever paid; the rest comes back.

# %%
job = market.order(
    collective=collective.id,
    algorithm=chosen.manifest_hash,
    budget=budget,
    rounds=rounds,
    key="a-first-training-job",
)
job.fund()
job.wait(
    seconds=float(os.environ.get("CSSI_SECONDS", "3600")), every=1.0, seen=lambda state: print(state.sentence)
)

# %% [markdown]
# ## What was learned
# Every round's model is there, and can be downloaded at any time, also while the job runs.

# %%
checkpoints = list(job.checkpoints())
for checkpoint in checkpoints:
    print(f"model {checkpoint.number}: a sum of {checkpoint.wallets} wallets, hash {checkpoint.hash[:12]}…")

kept = job.download(checkpoints[-1].number, Path(tempfile.mkdtemp()) / "model.cssi")

# %% [markdown]
# The file carries the manifest and the weights (float32), and says when it is not whole.

# %%
from collectives.training.checkpoint import read_file  # noqa: E402 - a notebook imports where it needs

manifest, number, weights, facts = read_file(kept.read_bytes())
print(f"{len(weights)} weights of “{manifest.name}” after round {number}, from {facts['wallets']} wallets")

# %% [markdown]
# ## Judge it, and keep the facts
# You measure on data of your own; what you report stands on the live page and in the model card.

# %%
job.report(checkpoints[-1].number, "mean absolute weight", float(abs(weights).mean()))
card = job.card()
print(
    f"{card['training']['rounds']} rounds, {card['money']['visits_paid']} visits paid, terms {card['consent']['terms_hash'][:12]}…"
)

market.close()
