"""Students.

In: datasets/, test items, and the models of students and judges. Out: for each cell, adapters/, a
LoRA adapter in PEFT's layout with training.json, its record; evaluations/, scores and predictions;
and outputs/, the student's answers, if a judge grades them. As in all rules, params whose functions
take `input` are not tracked, because they change no result.
"""


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
    resources:
        **JOB_RESOURCES.training(),
    params:
        **PARAMETERS.training("trained_cell"),
        folder=f"{RESULTS}/adapters/{{trained_cell}}",
        code=code("train_student"),
    shell:
        # With `exec`, a signal to the job's process reaches the script, which saves its work.
        command("train_student", "threads", "gpu", "runtime", "manifest", start="exec")


rule evaluate_student:
    """Answer and score the test items, with the cell's adapter or with the base model."""
    input:
        **PARAMETERS.answering("cell"),
        task=lambda wc: FLOW.task_record(wc.cell),
        dataset=lambda wc: FLOW.dataset_record(wc.cell),
    output:
        scores=f"{RESULTS}/evaluations/{{cell}}/evaluation.json",
        predictions=f"{RESULTS}/evaluations/{{cell}}/predictions.parquet",
    log:
        f"{RESULTS}/logs/evaluate_student/{{cell}}.log",
    priority: -1  # After trainings, so that one start of the engine serves many cells.
    resources:
        **JOB_RESOURCES.evaluation(),
    params:
        **PARAMETERS.asking("student", "cell", "evaluations"),
        cell=lambda wc: FLOW.coordinates(wc.cell),
        settings=lambda wc: FLOW.evaluation(wc.cell),
        task_folder=lambda wc, input: FLOW.task_folder(FLOW.cell(wc.cell).task),
        code=lambda wc: code("evaluate_student", *FLOW.scorer_modules(wc.cell)),
    shell:
        command("evaluate_student", "threads", "runtime", "manifest")


rule answer_items:
    """Answer the test items with the cell's student, for a judge."""
    input:
        **PARAMETERS.answering("judged_cell"),
    output:
        answers=f"{RESULTS}/outputs/{{judged_cell}}/outputs.parquet",
    log:
        f"{RESULTS}/logs/answer_items/{{judged_cell}}.log",
    resources:
        **JOB_RESOURCES.evaluation("judged_cell"),
    params:
        **PARAMETERS.asking("student", "judged_cell", "evaluations"),
        settings=lambda wc: FLOW.item_answering(wc.judged_cell),
        code=lambda wc: code("answer_items"),
    shell:
        command("answer_items", "threads", "runtime", "manifest")


rule judge_student:
    """Have the judge grade a student's answers."""
    input:
        **PARAMETERS.graded("judged_cell"),
    output:
        scores=f"{RESULTS}/evaluations/{{judged_cell}}/evaluation.json",
        predictions=f"{RESULTS}/evaluations/{{judged_cell}}/predictions.parquet",
        verdicts=f"{RESULTS}/evaluations/{{judged_cell}}/verdicts.parquet",
    log:
        f"{RESULTS}/logs/judge_student/{{judged_cell}}.log",
    resources:
        **JOB_RESOURCES.judging(),
    params:
        **PARAMETERS.asking("judge", "judged_cell", "judging"),
        cell=lambda wc: FLOW.coordinates(wc.judged_cell),
        settings=lambda wc: FLOW.judging(wc.judged_cell),
        labels_cache=lambda wc, input: FLOW.labels_cache(wc.judged_cell),
        code=lambda wc: code("judge_student"),
    shell:
        command("judge_student", "threads", "runtime", "manifest")
