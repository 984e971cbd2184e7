"""Models: trained from scratch here, or fetched."""


rule pretrain_model:
    """Train a small model from scratch on a generated world, with its ladder of checkpoints."""
    output:
        weights=f"{RESOURCES}/models/model={{model}}/world={{world}}/final/model.safetensors",
        record=f"{RESOURCES}/models/model={{model}}/world={{world}}/final/model.json",
    log:
        f"{RESOURCES}/logs/pretrain_model/model={{model}}/world={{world}}.log",
    benchmark:
        f"{RESOURCES}/benchmarks/pretrain_model/model={{model}}/world={{world}}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **NEEDS.pretraining(),
    params:
        settings=lambda wc: FLOW.pretraining(wc.model),
        prompts=lambda wc: FLOW.skill_prompts(wc.world),
        folder=f"{RESOURCES}/models/model={{model}}/world={{world}}",
        code=lambda wc: code("pretrain_model", f"seedbed.tasks.worlds.{wc.world}"),
    message:
        "pretrain_model model={wildcards.model}/world={wildcards.world}"
    shell:
        f"{script('pretrain_model')}"
        " --world {wildcards.world:q}"
        " --settings {params.settings:q}"
        " --prompts {params.prompts:q}"
        " --threads {threads}"
        " --gpus {resources.gpu}"
        " --output {params.folder:q}"
        " 2> >(tee {log:q} >&2)"


rule get_model:
    """Fetch a model from the hub, or take it from a folder; check how it writes chats."""
    input:
        chat_template=lambda wc: FLOW.chat_template(wc.model),
    output:
        record=f"{RESOURCES}/models/model={{model}}/source=fetched/model.json",
    log:
        f"{RESOURCES}/logs/get_model/model={{model}}.log",
    benchmark:
        f"{RESOURCES}/benchmarks/get_model/model={{model}}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        source=lambda wc: FLOW.model_source(wc.model),
        # With `input` among its arguments, what is only checked is not tracked.
        chats=lambda wc, input: FLOW.chats(wc.model, input.chat_template),
        folder=f"{RESOURCES}/models/model={{model}}/source=fetched",
        code=lambda wc: code("get_model"),
    message:
        "get_model model={wildcards.model}"
    shell:
        f"{script('get_model')}"
        " {params.source}"
        " {params.chats}"
        " --output {params.folder:q}"
        " 2> >(tee {log:q} >&2)"
