"""How well wallets learn: the system's own code for everything that touches a number, without sockets, masks and money.

* `simple`: one job as the demo runs it (`python -m tests.benchmarks.learning_sim`).
* `engine`, `draws`, `gradients`: a whole cohort at once, for the long runs.
* `runs`: what is run, and the targets; `oneshot` and `attackers` are two of its kinds.
* `python -m tests.benchmarks.learning` (`make bench-learning`) runs them all, keeps each result, and ends with a line of JSON.
"""
