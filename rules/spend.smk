"""`snakemake spend`: from a budget to a data set, decided round by round.

In: evaluations/ of the pilot's students, datasets/ and adapters/ of the last one. Out: spend/, each
decision with the known facts and the purchase; and bought/, the data set and the adapter with cards.
"""

from seedbed.analysis.report.spend import FILES as SPEND_FILES
from seedbed.run.rounds import Rounds

ROUNDS = Rounds(checkpoints, FLOW)


checkpoint decide_purchase:
    """Decide what to buy next: another round of the pilot, or the rest."""
    input:
        before=ROUNDS.before(),
        evaluations=ROUNDS.after(FLOW.measured),
        predictions=ROUNDS.after(FLOW.predictions),
        datasets=ROUNDS.after(FLOW.records_before),
    output:
        # `update`, because a purchase that was made is not decided again.
        purchase=update(f"{RESULTS}/spend/round={{round}}/purchase.json"),
    log:
        f"{RESULTS}/logs/decide_purchase/round={{round}}.log",
    localrule: True
    params:
        request=lambda wc: FLOW.request_settings(),
        known=lambda wc, input: FLOW.known(),
        code=lambda wc: code("decide_purchase"),
    shell:
        command("decide_purchase", "round", shown=True)


rule write_spend:
    """Write the data set and the adapter with their cards, and a page about the decisions."""
    input:
        purchases=ROUNDS.end(),
        rows=ROUNDS.at_the_end(FLOW.bought_rows),
        dataset=ROUNDS.at_the_end(FLOW.bought_record),
        parts=ROUNDS.at_the_end(FLOW.bought_parts),
        evaluations=ROUNDS.at_the_end(FLOW.final_evaluations),
        predictions=ROUNDS.at_the_end(FLOW.final_predictions),
        adapter=ROUNDS.at_the_end(FLOW.final_adapter),
    output:
        FLOW.bought(),
    log:
        f"{RESULTS}/logs/write_spend.log",
    localrule: True
    params:
        about=lambda wc: FLOW.about(),
        folder=f"{RESULTS}/bought",
        code=lambda wc: code("write_spend", *SPEND_FILES),
    shell:
        command("write_spend", "study", "spending", shown=True)


rule spend:
    """Spend a budget on the best data set: the data, an adapter, and the reasons."""
    input:
        rules.write_spend.output,


rule publish:
    """Push the data set and the adapter to the hub, or copy them to a folder in its layout."""
    input:
        rules.write_spend.output,
    log:
        f"{RESULTS}/logs/publish.log",
    localrule: True
    params:
        bought=f"{RESULTS}/bought",
        repo=RUN.repo,
        hub_folder=RUN.hub_folder,
        code=lambda wc: code("publish"),
    shell:
        command("publish", shown=True)
