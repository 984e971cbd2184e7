"""Where Snakemake keeps its notes in a working directory.

These names are not public. `run/snakemake_parts.py` checks them, and is not imported here: what
only looks into the folder starts without Snakemake.
"""

from pathlib import Path

NOTES = Path(".snakemake")

LOCKS = NOTES / "locks"
"""Of its lock files."""

METADATA = NOTES / "metadata"
INCOMPLETE = NOTES / "incomplete"
"""In each, a file for each output, named after it in base 64."""

TEMPORARY = "tmp."
"""How the names of folders begin in which a run keeps the scripts of its jobs on a cluster."""
