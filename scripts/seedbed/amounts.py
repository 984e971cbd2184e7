"""Amounts of money in words."""

from __future__ import annotations

import math


def dollars(usd: float) -> str:
    """Return dollars and cents; an amount below a dollar keeps two significant digits."""
    if not 0 < abs(usd) < 1:
        return f"${usd:,.2f}"
    digits = 1 - math.floor(math.log10(abs(usd)))
    return f"${usd:.{max(2, digits)}f}"
