"""The code around a run of Snakemake, in the order of a run; `hooks` calls all of it.

- `garbage`, `terminal`, `environment`, `writing`, `targets`: the garbage collector, errors and
  Ctrl-C, `.env` and profiles, read-only folders, mistyped targets.
- `owners`, `recovery`: which runs are alive in a folder, and recovery from killed runs.
- `manifest`, `rule_code`, `jobs`: how results were made, the code of rules, the files of jobs.
- `planning`, `scheduling`: which jobs run, by content, and how Snakemake is made to run them.
- `adopting`, `explaining`: questions about existing results, answered without a run.
- `pending`, `lists`: files that a run writes for its jobs: pending jobs by model, long lists.
- `partitions`, `requests`, `submitting`, `slurm`: a cluster's partitions, the resources that jobs
  ask for, their submission, and queries of SLURM.
- `progress`, `status`: the progress of a run, during the run and afterwards.
- `snakemake_internals`, `snakemake_parts`: all uses of private parts of Snakemake, and their check.
"""
