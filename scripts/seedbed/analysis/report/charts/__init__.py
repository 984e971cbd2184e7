"""Charts, one module for each: from results to a table, and from the table to a Vega-Lite chart.

Each module has the functions `tabulate` (from files to `Content`), `content` (from objects to
`Content`) and `chart` (from `Content` to an Altair chart).
"""
