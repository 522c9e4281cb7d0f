"""Credentials, their status and their presentation. A leaf: imports `aggregation.wire` and nothing else of the project."""
