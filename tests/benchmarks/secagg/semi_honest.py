"""The semi-honest profile: thresholds below one half, for comparing work with protocols that trust their server. Never for people.

Such a header lets an aggregator that asks twice rebuild both secrets of a wallet. It cannot be selected: it is a class of the
benchmarks, not of the package, its kind differs, and `Header.from_bytes`, which every agent and server reads headers with, refuses
its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from aggregation.secagg.messages import Header
from aggregation.secagg.messages.codec import check_int
from aggregation.secagg.messages.header import MAX_MEMBERS, MILLION


@dataclass(frozen=True, kw_only=True)
class SemiHonestHeaderForBenchmarksOnly(Header):
    """A header whose threshold may lie anywhere."""

    KIND: ClassVar[str] = "header-semi-honest-for-benchmarks-only"

    def _validate_minima(self) -> None:
        check_int(self.bucket_min, 2, MAX_MEMBERS, "bucket_min")
        check_int(self.release_min, self.bucket_min, MAX_MEMBERS, "release_min")
        check_int(self.bucket_size, self.bucket_min, MAX_MEMBERS, "bucket_size")
        check_int(self.threshold_ppm, 1, MILLION, "threshold_ppm")
