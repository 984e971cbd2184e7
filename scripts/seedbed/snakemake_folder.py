"""Paths of Snakemake's own files in a working directory.

These names are not public. `run/snakemake_parts.py` checks them. This module does not import it, so
that code that only reads the folder starts without Snakemake.
"""

from pathlib import Path

NOTES = Path(".snakemake")

LOCKS = NOTES / "locks"
"""Folder of its lock files."""

METADATA = NOTES / "metadata"
INCOMPLETE = NOTES / "incomplete"
"""Folders with one file per output, whose name is the output's path in base 64."""

TEMPORARY = "tmp."
"""Prefix of the folders in which a run keeps the scripts of its jobs on a cluster."""
