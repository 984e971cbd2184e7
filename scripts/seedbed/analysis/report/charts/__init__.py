"""Charts: a module for each, from results to a table, and from the table to a Vega-Lite chart.

Each module has `tabulate` (from files to `Content`), `content`
(the same from what was read) and `chart` (from `Content` to an Altair chart).
"""
