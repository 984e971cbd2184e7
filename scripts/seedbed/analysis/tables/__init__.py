"""Tables of cells, items and comparisons."""
