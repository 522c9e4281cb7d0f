"""Load: how many agents, vectors and visits one machine bears, and what pages take meanwhile. `python -m tests.benchmarks.load`."""
