"""Around a run of Snakemake, in the order of its life; `hooks` calls all of it.

- `garbage`, `terminal`, `environment`, `writing`, `targets`: the garbage collector, errors and
  Ctrl-C, `.env` and profiles, where one may only read, mistyped targets.
- `owners`, `recovery`: which runs are alive in a folder, and what a killed one left.
- `manifest`, `rule_code`, `jobs`: what results were made from; the code of rules; files of jobs.
- `planning`, `scheduling`: which jobs run, by content; how Snakemake is made to run those.
- `adopting`, `explaining`: answers about results that are there, in place of a run.
- `pending`, `lists`: files that jobs read of the run: which others ask a model, long lists.
- `partitions`, `requests`, `submitting`, `slurm`: what a cluster offers, what jobs ask of it, how
  they are sent, and what squeue says of them.
- `progress`, `status`: how far a run is, while it lasts and afterwards.
- `snakemake_internals`, `snakemake_parts`: all uses of private parts of Snakemake, and their check.
"""
