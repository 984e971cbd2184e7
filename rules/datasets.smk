"""From answers to datasets.

In: answers/, and for verification the teacher's model. Out: samples/ (self-consistency samples),
checks/ (validity checks) and labels/ (verification labels), in the same shards as answers/; and
datasets/, for each budget and filter, or mixed from several methods: training rows, and a record
of their cost.
"""


rule sample_answers:
    """Sample further answers to a shard's questions from the teacher, for self-consistency."""
    input:
        answers=f"{RESULTS}/answers/{{stream}}/shard={{shard}}/answers.parquet",
        model=lambda wc: FLOW.model_record(*FLOW.teacher(wc.stream)),
    output:
        samples=update(f"{RESULTS}/samples/{{stream}}/shard={{shard}}/samples.parquet"),
    log:
        f"{RESULTS}/logs/sample_answers/{{stream}}/shard={{shard}}.log",
    resources:
        **JOB_RESOURCES.samples(),
    params:
        **PARAMETERS.shard("sample_answers", "stream"),
        settings=lambda wc: FLOW.samples(wc.stream),
        model=lambda wc: FLOW.model(*FLOW.teacher(wc.stream)),
        cache=f"{FLOW.state}/samples/{{stream}}",
        engine=lambda wc, input: FLOW.engine("teacher", wc.stream, "verification"),
        code=lambda wc: code("sample_answers"),
    shell:
        command("sample_answers", "stream", "threads")


CHECKED = PARAMETERS.checking(rules.answer_questions.output.answers)


rule check_answers:
    """Check the validity of a shard's answers to new questions."""
    input:
        **CHECKED,
    output:
        checks=update(f"{RESULTS}/checks/{{stream}}/shard={{shard}}/checks.parquet"),
    log:
        f"{RESULTS}/logs/check_answers/{{stream}}/shard={{shard}}.log",
    localrule: True
    params:
        **PARAMETERS.checked("check_answers", FLOW.checking),
        code=lambda wc: code("check_answers", *FLOW.comparing_modules(wc.stream)),
    shell:
        command("check_answers")


rule verify_answers:
    """Verify the answers of a shard, by the seed's answer or by self-consistency."""
    input:
        **CHECKED,
        samples=lambda wc: FLOW.samples_of_shard(wc.stream, wc.shard),
    output:
        labels=update(f"{RESULTS}/labels/{{stream}}/shard={{shard}}/labels.parquet"),
    log:
        f"{RESULTS}/logs/verify_answers/{{stream}}/shard={{shard}}.log",
    localrule: True
    params:
        **PARAMETERS.checked("verify_answers", FLOW.scoring),
        code=lambda wc: code("verify_answers", *FLOW.judging_modules(wc.stream)),
    shell:
        command("verify_answers")


rule build_dataset:
    """Build the dataset of a budget from its stream or from real data, or mix several datasets."""
    input:
        seeds=lambda wc: FLOW.seeds(wc.dataset),
        test=lambda wc: FLOW.test_items(wc.dataset),
        answers=lambda wc: FLOW.answer_shards(wc.dataset),
        questions=lambda wc: FLOW.question_shards(wc.dataset),
        samples=lambda wc: FLOW.sample_shards(wc.dataset),
        checks=lambda wc: FLOW.check_shards(wc.dataset),
        labels=lambda wc: FLOW.label_shards(wc.dataset),
        parts=lambda wc: FLOW.part_rows(wc.dataset),
        records=lambda wc: FLOW.part_records(wc.dataset),
    output:
        rows=f"{RESULTS}/datasets/{{dataset}}/dataset.parquet",
        record=f"{RESULTS}/datasets/{{dataset}}/dataset.json",
    log:
        f"{RESULTS}/logs/build_dataset/{{dataset}}.log",
    localrule: True
    params:
        dataset=lambda wc: FLOW.coordinates(wc.dataset),
        settings=lambda wc: FLOW.dataset(wc.dataset),
        code=code("build_dataset"),
    shell:
        command("build_dataset", "manifest")
