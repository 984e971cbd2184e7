"""What happens around a run: Snakemake's hooks, each a call of `seedbed.run.hooks`.

In: what common.smk and begin.smk define. Out: `HOOKS`.
"""

from seedbed.run.hooks import Hooks

HOOKS = Hooks(workflow, logger, rules, SHARED, INTERRUPT)


# A dry run needs no data and no keys, and does not come here.
onstart:
    HOOKS.start()


onsuccess:
    HOOKS.end(True)


onerror:
    HOOKS.end(False)
