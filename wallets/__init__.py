"""Everything near the holder: the wallet agent, the host of many agents, and the distributor that reaches them."""
