"""Tasks and the seed sets drawn from them.

In: generated worlds, folders of data sets, or the hub. Out: resources/tasks/, which studies share:
the train and test items of each task with a record; and seeds/, the seed sets of the study.
"""


rule get_task:
    """Make a task's items, from a generated world, a folder or the hub."""
    input:
        files=lambda wc: FLOW.task_files(wc.task),
    output:
        train=f"{RESOURCES}/tasks/task={{task}}/train.parquet",
        test=f"{RESOURCES}/tasks/task={{task}}/test.parquet",
        record=f"{RESOURCES}/tasks/task={{task}}/task.json",
    log:
        f"{RESOURCES}/logs/get_task/task={{task}}.log",
    localrule: True
    params:
        **PARAMETERS.items(),
        folder=f"{RESOURCES}/tasks/task={{task}}",
        code=lambda wc: code("get_task", *FLOW.task_modules(wc.task)),
    shell:
        command("get_task", without=("files", "data"))


rule draw_seeds:
    """Draw a seed set from a task's train split."""
    input:
        train=f"{RESOURCES}/tasks/task={{task}}/train.parquet",
    output:
        drawn=f"{RESULTS}/seeds/task={{task}}/seeds={{seeds}}/replicate={{replicate}}/seeds.parquet",
    log:
        f"{RESULTS}/logs/draw_seeds/task={{task}}/seeds={{seeds}}/replicate={{replicate}}.log",
    localrule: True
    params:
        code=lambda wc: code("draw_seeds"),
    shell:
        command("draw_seeds", "seeds", "replicate")
