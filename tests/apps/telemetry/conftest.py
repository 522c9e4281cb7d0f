"""Rounds of the aggregator, for spans of their phases."""

from __future__ import annotations

from tests.apps.aggregator.conftest import cast

__all__ = ["cast"]
