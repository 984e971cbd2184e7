"""From evaluated cells to comparisons, fitted curves, crossovers and advice."""
