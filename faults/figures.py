"""Small sums that the reports share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def p95(values: Sequence[float]) -> float:
    """Return what 95 of 100 values do not exceed; `nan` without values."""
    return quantile(values, 0.95)


def quantile(values: Sequence[float], share: float) -> float:
    """Return what that share of the values does not exceed; `nan` without values."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan


def beyond(bounds: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return in words which figures are above their bound, name -> (figure, bound)."""
    return [
        f"{name}: {figure:.3g}, must be at most {bound:g}"
        for name, (figure, bound) in bounds.items()
        if not figure <= bound
    ]
