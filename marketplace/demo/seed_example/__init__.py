"""The founding document's own example at its own size: 100,000 wallets, 2,000,000 visits at 0.005, a budget of 10,000, to the last unit."""
