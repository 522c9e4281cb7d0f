"""The public listing: home, catalogue, collective card, algorithm card. Views only; reads the collective domain."""
