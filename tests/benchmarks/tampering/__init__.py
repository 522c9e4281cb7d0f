"""What tampering wallets do to a model, what bucket sums show of it, and who is found: `make bench-tampering DATA=<folder>`.

* `attacks`: what they send.
* `simulation`: a job over its rounds, with the system's own clip, rounding, noise, bucket rules, evidence and server step.
* `report`: the page docs/benchmarks/tampering-<set>.md with its plots, and JSON.
"""
