"""Tasks and the seed sets drawn from them."""


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
    benchmark:
        f"{RESOURCES}/benchmarks/get_task/task={{task}}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        data=lambda wc: FLOW.items_source(wc.task),
        # With `input` among their arguments they are not tracked: what the items depend on is.
        source=lambda wc, input: FLOW.source(wc.task),
        data_dir=lambda wc, input: FLOW.task_data_dir(wc.task) or "",
        # Not tracked, either: a change of how answers are scored makes no other items.
        scoring=lambda wc, input: FLOW.reference_scoring(wc.task),
        task_folder=lambda wc, input: FLOW.task_folder(wc.task),
        folder=f"{RESOURCES}/tasks/task={{task}}",
        code=lambda wc: code("get_task", *FLOW.task_modules(wc.task)),
    message:
        "get_task task={wildcards.task}"
    shell:
        f"{script('get_task')}"
        " --source {params.source:q}"
        " --data-dir {params.data_dir:q}"
        " --scoring {params.scoring:q}"
        " --task-folder {params.task_folder:q}"
        " --output {params.folder:q}"
        " 2> {log:q}"


rule draw_seeds:
    """Draw a seed set from a task's train split."""
    input:
        train=f"{RESOURCES}/tasks/task={{task}}/train.parquet",
    output:
        seeds=f"{RESULTS}/seeds/task={{task}}/seeds={{seeds}}/replicate={{replicate}}/seeds.parquet",
    log:
        f"{RESULTS}/logs/draw_seeds/task={{task}}/seeds={{seeds}}/replicate={{replicate}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_seeds/task={{task}}/seeds={{seeds}}/replicate={{replicate}}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        code=lambda wc: code("draw_seeds"),
    message:
        "draw_seeds task={wildcards.task}/seeds={wildcards.seeds}/replicate={wildcards.replicate}"
    shell:
        f"{script('draw_seeds')}"
        " --train {input.train:q}"
        " --seeds {wildcards.seeds}"
        " --replicate {wildcards.replicate}"
        " --output {output.seeds:q}"
        " 2> {log:q}"
