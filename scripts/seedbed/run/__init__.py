"""What happens around a run of Snakemake: planning, clusters, recovery, progress."""
