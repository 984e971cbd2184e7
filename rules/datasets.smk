"""What of the answers becomes a dataset: checks, and the cut at a budget."""


rule sample_votes:
    """Ask the teacher again what it answered in a shard, to see whether it agrees."""
    input:
        answers=f"{RESULTS}/answers/{{stream}}/shard={{shard}}/answers.parquet",
        model=lambda wc: FLOW.model_record(*FLOW.teacher(wc.stream)),
    output:
        votes=update(f"{RESULTS}/votes/{{stream}}/shard={{shard}}/votes.parquet"),
    log:
        f"{RESULTS}/logs/sample_votes/{{stream}}/shard={{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sample_votes/{{stream}}/shard={{shard}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **NEEDS.votes(),
    params:
        settings=lambda wc: FLOW.votes(wc.stream),
        start=lambda wc: FLOW.shard(wc.stream, wc.shard).start,
        end=lambda wc: FLOW.shard_end(wc.shard),
        model=lambda wc: FLOW.model(*FLOW.teacher(wc.stream)),
        journal=f"{RESULTS}/journal/votes/{{stream}}",
        # With `input` among their arguments they are not tracked: they change no result.
        stop=lambda wc, input: FLOW.stop("sample_votes", wc),
        engine=lambda wc, input: FLOW.engine("teacher", wc.stream),
        code=lambda wc: code("sample_votes"),
    message:
        "sample_votes {wildcards.stream}/shard={wildcards.shard}"
    shell:
        f"{script('sample_votes')}"
        " --stream {wildcards.stream:q}"
        " --answers {input.answers:q}"
        " --start {params.start}"
        " --stop {params.stop}"
        " --end {params.end}"
        " --settings {params.settings:q}"
        " --model {params.model:q}"
        " --engine {params.engine:q}"
        " --threads {threads}"
        " --journal {params.journal:q}"
        " --output {output.votes:q}"
        " 2> {log:q}"


rule check_answers:
    """Check the answers of a shard to new questions."""
    input:
        answers=f"{RESULTS}/answers/{{stream}}/shard={{shard}}/answers.parquet",
        seeds=lambda wc: FLOW.seeds(wc.stream),
        task=lambda wc: FLOW.task_record(wc.stream),
    output:
        checks=update(f"{RESULTS}/checks/{{stream}}/shard={{shard}}/checks.parquet"),
    log:
        f"{RESULTS}/logs/check_answers/{{stream}}/shard={{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/check_answers/{{stream}}/shard={{shard}}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=lambda wc: FLOW.checking(wc.stream),
        start=lambda wc: FLOW.shard(wc.stream, wc.shard).start,
        end=lambda wc: FLOW.shard_end(wc.shard),
        # With `input` among its arguments it is not tracked: a shard may hold more.
        stop=lambda wc, input: FLOW.stop("check_answers", wc),
        code=lambda wc: code("check_answers", FLOW.kind_module(wc.stream)),
    message:
        "check_answers {wildcards.stream}/shard={wildcards.shard}"
    shell:
        f"{script('check_answers')}"
        " --answers {input.answers:q}"
        " --seeds {input.seeds:q}"
        " --task {input.task:q}"
        " --start {params.start}"
        " --stop {params.stop}"
        " --end {params.end}"
        " --settings {params.settings:q}"
        " --output {output.checks:q}"
        " 2> {log:q}"


rule verify_answers:
    """Verify the answers of a shard, by the seed's answer or by the teacher's others."""
    input:
        answers=f"{RESULTS}/answers/{{stream}}/shard={{shard}}/answers.parquet",
        votes=lambda wc: FLOW.votes_of_shard(wc.stream, wc.shard),
        seeds=lambda wc: FLOW.seeds(wc.stream),
        task=lambda wc: FLOW.task_record(wc.stream),
    output:
        verdicts=update(
            f"{RESULTS}/verdicts/{{stream}}/shard={{shard}}/verdicts.parquet"
        ),
    log:
        f"{RESULTS}/logs/verify_answers/{{stream}}/shard={{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/verify_answers/{{stream}}/shard={{shard}}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=lambda wc: FLOW.scoring(wc.stream),
        start=lambda wc: FLOW.shard(wc.stream, wc.shard).start,
        end=lambda wc: FLOW.shard_end(wc.shard),
        # With `input` among their arguments they are not tracked: the code in the folder is.
        stop=lambda wc, input: FLOW.stop("verify_answers", wc),
        task_folder=lambda wc, input: FLOW.task_folder(FLOW.teacher(wc.stream)[1]),
        code=lambda wc: code("verify_answers", *FLOW.judging_modules(wc.stream)),
    message:
        "verify_answers {wildcards.stream}/shard={wildcards.shard}"
    shell:
        f"{script('verify_answers')}"
        " --answers {input.answers:q}"
        " --votes {input.votes:q}"
        " --seeds {input.seeds:q}"
        " --task {input.task:q}"
        " --task-folder {params.task_folder:q}"
        " --start {params.start}"
        " --stop {params.stop}"
        " --end {params.end}"
        " --settings {params.settings:q}"
        " --output {output.verdicts:q}"
        " 2> {log:q}"


rule build_dataset:
    """Cut the dataset of a budget from its stream, or make it of real pairs."""
    input:
        seeds=lambda wc: FLOW.seeds(wc.dataset),
        test=lambda wc: FLOW.test_items(wc.dataset),
        answers=lambda wc: FLOW.answer_shards(wc.dataset),
        questions=lambda wc: FLOW.question_shards(wc.dataset),
        votes=lambda wc: FLOW.vote_shards(wc.dataset),
        checks=lambda wc: FLOW.check_shards(wc.dataset),
        verdicts=lambda wc: FLOW.verdict_shards(wc.dataset),
    output:
        rows=f"{RESULTS}/datasets/{{dataset}}/dataset.parquet",
        record=f"{RESULTS}/datasets/{{dataset}}/dataset.json",
    log:
        f"{RESULTS}/logs/build_dataset/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/build_dataset/{{dataset}}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        dataset=lambda wc: FLOW.coordinates(wc.dataset),
        settings=lambda wc: FLOW.dataset(wc.dataset),
        code=code("build_dataset"),
    message:
        "build_dataset {wildcards.dataset}"
    shell:
        f"{script('build_dataset')}"
        " --dataset {params.dataset:q}"
        " --seeds {input.seeds:q}"
        " --test {input.test:q}"
        " --answers {input.answers:q}"
        " --questions {input.questions:q}"
        " --votes {input.votes:q}"
        " --checks {input.checks:q}"
        " --verdicts {input.verdicts:q}"
        f" --manifest {MANIFESTS}"
        " --settings {params.settings:q}"
        " --output {output.rows:q}"
        " --record {output.record:q}"
        " 2> {log:q}"
