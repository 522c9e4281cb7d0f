"""Tampering wallets, seen through bucket sums alone: what a sum that stands out does to a round, and to who was in it.

* `rules`: from the sums of a round's buckets to what is released.
* `offenders`: evidence against one wallet over rounds, with a bound on false accusations.

Numbers only: no database, no network. Nobody sees a single update here, and nobody can.
"""
