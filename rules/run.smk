"""Snakemake's hooks around a run; each calls `seedbed.run.hooks`.

In: the definitions of begin.smk and common.smk. Out: `HOOKS`.
"""

from seedbed.run.hooks import Hooks

HOOKS = Hooks(workflow, logger, rules, SHARED, INTERRUPT)


# Snakemake skips these in a dry run, which therefore needs no data and no keys.
onstart:
    HOOKS.start()


onsuccess:
    HOOKS.end(True)


onerror:
    HOOKS.end(False)
