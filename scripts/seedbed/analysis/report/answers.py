"""What a study answers to one question: a task, so many seeds, and a budget or an accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from seedbed.analysis.curves import Curves, NewTask
from seedbed.analysis.decide.advise import Advice, Plan, advise, plans
from seedbed.analysis.decide.costs import Prices
from seedbed.analysis.decide.priors import QueryPrices, prior_advice, prior_plans
from seedbed.analysis.decide.transfer import near_tasks, transferred_advice, transferred_plans
from seedbed.analysis.settings import MethodKind
from seedbed.analysis.tables.outcomes import Group
from seedbed.config.values import JsonObject
from seedbed.config.words import NONE


@dataclass(frozen=True)
class Question:
    """What is asked. One of `queries`, `usd` and `target` is given.

    Attributes:
        task: the task.
        seeds: seed questions.
        queries: teacher queries, the budget.
        usd: US dollars, the budget.
        target: accuracy to reach at the least cost, a fraction.
        untrained: accuracy of the base model, a fraction, for priors; None if not known.
    """

    task: str
    seeds: int
    queries: int | None = None
    usd: float | None = None
    target: float | None = None
    untrained: float | None = None


@dataclass(frozen=True)
class Answer:
    """What cells of one student, teacher, augmenter and filter say, or the priors.

    Attributes:
        group: their coordinates.
        fit: their fit; of other tasks, if the task has no results, that of the first; None where
            the priors answer.
        said: the advice, or by choice the least budgets; None where they say nothing.
        reason: why they say nothing, or "".
        transferred: the tasks that it is transferred from; none if the task has results.
        left_out: of other tasks, why it is not transferred from them.
        untrained: accuracy of the base model: measured, expected by other tasks, or that of
            the question; None if it is not known.
        assumed: what queries cost, where the answer counts with prices before the first answer.
    """

    group: Group
    fit: Curves | None
    said: Advice | list[Plan] | None
    reason: str = ""
    transferred: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    untrained: float | None = None
    assumed: QueryPrices | None = None

    @property
    def by_priors(self) -> bool:
        """Whether there is nothing but what is published."""
        return self.fit is None


def ask(
    fits: Sequence[Curves],
    question: Question,
    confidence: float,
    prices: Prices | None = None,
    methods: Mapping[str, MethodKind] | None = None,
    assumed: QueryPrices | None = None,
) -> list[Answer]:
    """Return what each fit of a task answers; of a task without results, what others let expect.

    If the others let expect nothing, the priors answer.

    Args:
        fits: the study's fits.
        question: the question.
        confidence: coverage of the intervals.
        prices: by model, what its tokens cost.
        methods: by name, what those of the study ask, for priors; None for those of the fits.
        assumed: what queries cost by the cost estimate, for priors.

    Raises:
        ValueError: if none of the fits can say anything of the seeds and the budget; or if the
            base model's accuracy is given where results answer.
    """
    own = [fit for fit in fits if fit.record.task == question.task]
    answers = [_answer(fit, question, confidence, prices or {}) for fit in own]
    if not own:
        answers = _transferred(fits, question, confidence, prices or {})
        if not any(answer.said for answer in answers):
            known = {
                m: kind
                for fit in fits
                for m, kind in zip(fit.methods, fit.record.kinds, strict=True)
            }
            answers = [_by_priors(answers, question, confidence, methods or known, assumed)]
    if not any(answer.said for answer in answers):
        raise ValueError("; ".join(dict.fromkeys(answer.reason for answer in answers)))
    if question.untrained is not None and not all(answer.by_priors for answer in answers):
        raise ValueError("untrained_accuracy: results answer, and priors do not: leave it out")
    return answers


def _answer(fit: Curves, question: Question, confidence: float, prices: Prices) -> Answer:
    seeds = question.seeds
    try:
        if question.target is not None:
            found = plans(fit, seeds, question.target, confidence, prices)
            return Answer(fit.group, fit, found, untrained=fit.untrained)
        said = advise(fit, seeds, question.queries, confidence, question.usd, prices)
        return Answer(fit.group, fit, said, untrained=fit.untrained)
    except ValueError as error:
        return Answer(fit.group, fit, None, str(error))


def _by_priors(
    others: Sequence[Answer],
    question: Question,
    confidence: float,
    methods: Mapping[str, MethodKind],
    assumed: QueryPrices | None,
) -> Answer:
    """Return what published results say about a task without results."""
    group = Group(question.task, NONE, NONE, NONE, NONE)
    reasons = list(dict.fromkeys(answer.reason for answer in others))
    seeds = question.seeds
    try:
        said: Advice | list[Plan]
        if question.target is not None:
            said = prior_plans(
                methods, seeds, question.target, confidence, question.untrained, assumed
            )
        else:
            said = prior_advice(methods, seeds, question.queries, confidence, question.usd, assumed)
        why = "; ".join(reasons)
        return Answer(group, None, said, why, untrained=question.untrained, assumed=assumed)
    except ValueError as error:
        return Answer(group, None, None, "; ".join([*reasons, str(error)]))


def _transferred(
    fits: Sequence[Curves], question: Question, confidence: float, prices: Prices
) -> list[Answer]:
    known = list(dict.fromkeys(fit.record.task for fit in fits))
    missing = f"task {question.task}: the study has results of {', '.join(known) or 'no task'}"
    if not fits:
        return [Answer(Group(question.task, NONE, NONE, NONE, NONE), None, None, missing)]
    by_models: dict[tuple[str, ...], list[Curves]] = {}
    for fit in fits:
        by_models.setdefault(tuple(vars(replace(fit.group, task="")).values()), []).append(fit)
    seeds, queries, usd = question.seeds, question.queries, question.usd
    answers = []
    for group in by_models.values():
        try:
            near, left_out = near_tasks(group, seeds, queries, usd, prices)
            if question.target is not None:
                said: Advice | list[Plan] = transferred_plans(
                    near, seeds, question.target, confidence, prices
                )
            else:
                said = transferred_advice(near, seeds, queries, confidence, usd, prices)
            tasks = tuple(fit.record.task for fit in near)
            answers.append(
                Answer(
                    near[0].group,
                    near[0],
                    said,
                    transferred=tasks,
                    left_out=tuple(left_out),
                    untrained=NewTask(near, seeds, {}).untrained,
                )
            )
        except ValueError as error:
            answers.append(Answer(group[0].group, group[0], None, f"{missing}; {error}"))
    # Ablations that only one task has say nothing, and need not say so where others do.
    return [answer for answer in answers if answer.said] or answers


def advice_json(question: Question, answers: Sequence[Answer]) -> JsonObject:
    """Return answers as JSON: accuracies, intervals, regrets and probabilities are fractions."""
    return {
        "question": asdict(question),
        "answers": [
            asdict(answer.group)
            | {"task": question.task, "transferred": list(answer.transferred)}
            | ({"left_out": list(answer.left_out)} if answer.left_out else {})
            | _said(answer)
            for answer in answers
        ],
    }


def _said(answer: Answer) -> JsonObject:
    if answer.said is None:
        return {"reason": answer.reason}
    assumed: JsonObject = {}
    if answer.assumed is not None:
        assumed["assumed"] = answer.assumed.model_dump(mode="json")
    if isinstance(answer.said, Advice):
        plain = replace(answer.said, failed=())
        failed = [dict(one) for one in answer.said.failed]
        return asdict(plain) | {"failed": failed} | assumed
    return {"reach": [asdict(one) for one in answer.said], **assumed}
