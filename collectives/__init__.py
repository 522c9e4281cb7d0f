"""The collective domain: terms, subscriptions, jobs, rounds, models."""
