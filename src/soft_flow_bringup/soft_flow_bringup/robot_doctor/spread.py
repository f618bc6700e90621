"""The spread of many measured times."""

from collections.abc import Sequence

import numpy as np
from typing_extensions import Self

from soft_flow_contract.strict_model import StrictModel


class Spread(StrictModel):
    """Median, 99th percentile and extremes of times, ms."""

    count: int
    shortest: float
    p50: float
    p99: float
    longest: float

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Self | None:
        """Of at least one time; None of none."""
        if not len(milliseconds):
            return None
        values = np.asarray(milliseconds, float)
        p50, p99 = np.percentile(values, [50, 99])
        return cls(
            count=len(values),
            shortest=round(float(values.min()), 3),
            p50=round(float(p50), 3),
            p99=round(float(p99), 3),
            longest=round(float(values.max()), 3),
        )

    def __str__(self) -> str:
        return f"p50 {self.p50:.1f}, p99 {self.p99:.1f}, longest {self.longest:.1f} ms"
