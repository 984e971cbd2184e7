"""Students: trained on a dataset, evaluated on the test items."""


rule train_student:
    """Train a LoRA adapter on a dataset."""
    input:
        dataset=lambda wc: FLOW.dataset_rows(wc.trained_cell),
        model=lambda wc: FLOW.model_record(*FLOW.student(wc.trained_cell)),
    output:
        weights=f"{RESULTS}/adapters/{{trained_cell}}/adapter_model.safetensors",
        config=f"{RESULTS}/adapters/{{trained_cell}}/adapter_config.json",
        record=f"{RESULTS}/adapters/{{trained_cell}}/training.json",
    log:
        f"{RESULTS}/logs/train_student/{{trained_cell}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_student/{{trained_cell}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **NEEDS.training(),
    params:
        settings=lambda wc: FLOW.training(wc.trained_cell),
        model=lambda wc: FLOW.model(*FLOW.student(wc.trained_cell)),
        # With `input` among its arguments, what changes no result is not tracked.
        trainer=lambda wc, input: FLOW.trainer(wc.trained_cell),
        folder=f"{RESULTS}/adapters/{{trained_cell}}",
        code=code("train_student"),
    message:
        "train_student {wildcards.trained_cell}"
    shell:
        # `exec`: a signal to the job's process reaches the script, which saves its work.
        f"exec {script('train_student')}"
        " --model {params.model:q}"
        " --dataset {input.dataset:q}"
        f" --manifest {MANIFESTS}"
        " --settings {params.settings:q}"
        " --trainer {params.trainer:q}"
        " --threads {threads}"
        " --gpus {resources.gpu}"
        " --output {params.folder:q}"
        " 2> {log:q}"


rule evaluate_student:
    """Answer and score the test items, with the cell's adapter or, for a baseline, without."""
    input:
        test=lambda wc: FLOW.test_items(wc.cell),
        # With the digests of the databases that queries are run on.
        task=lambda wc: FLOW.task_record(wc.cell),
        model=lambda wc: FLOW.model_record(*FLOW.student(wc.cell)),
        adapter=lambda wc: FLOW.adapter(wc.cell),
        dataset=lambda wc: FLOW.dataset_record(wc.cell),
    output:
        scores=f"{RESULTS}/evaluations/{{cell}}/evaluation.json",
        predictions=f"{RESULTS}/evaluations/{{cell}}/predictions.parquet",
    log:
        f"{RESULTS}/logs/evaluate_student/{{cell}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_student/{{cell}}.tsv"
    priority: -1  # After training, so that one start of the engine serves many cells.
    conda:
        ENVIRONMENT
    resources:
        **NEEDS.evaluation(),
    params:
        cell=lambda wc: FLOW.coordinates(wc.cell),
        settings=lambda wc: FLOW.evaluation(wc.cell),
        model=lambda wc: FLOW.model(*FLOW.student(wc.cell)),
        # With `input` among their arguments, what by itself changes no result is not tracked.
        task_folder=lambda wc, input: FLOW.task_folder(FLOW.cell(wc.cell).task),
        engine=lambda wc, input: FLOW.engine("student", wc.cell),
        sharing=lambda wc, input: OTHERS.file("student", wc.cell),
        journal=f"{RESULTS}/journal/evaluations/{{cell}}",
        code=lambda wc: code("evaluate_student", *FLOW.scorer_modules(wc.cell)),
    message:
        "evaluate_student {wildcards.cell}"
    shell:
        f"{script('evaluate_student')}"
        " --cell {params.cell:q}"
        " --test {input.test:q}"
        " --task-folder {params.task_folder:q}"
        " --model {params.model:q}"
        " --adapter {input.adapter:q}"
        " --dataset {input.dataset:q}"
        f" --manifest {MANIFESTS}"
        " --settings {params.settings:q}"
        " --engine {params.engine:q}"
        " --threads {threads}"
        " --journal {params.journal:q}"
        " --sharing {params.sharing:q}"
        " --minutes {resources.runtime}"
        " --predictions {output.predictions:q}"
        " --output {output.scores:q}"
        " 2> {log:q}"
