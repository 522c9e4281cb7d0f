"""Ten million wallets on paper and in a simulation: `python -m tests.benchmarks.scale`, written about in docs/scale.md."""
