"""Decisions from fitted curves: costs, crossovers, advice, purchases, contrasts."""
