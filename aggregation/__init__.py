"""The aggregator: protocol core, privacy, visit ledger. It imports no other domain."""
