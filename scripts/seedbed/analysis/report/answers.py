"""A study's answers to a question: a task, a number of seeds, and a budget or an accuracy."""

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
    """A question. Exactly one of `queries`, `usd` and `target` is not None.

    Attributes:
        task: the task.
        seeds: number of seed questions.
        queries: the budget in teacher queries.
        usd: the budget in US dollars.
        target: accuracy to reach at the least cost, a fraction.
        untrained: accuracy of the base model, a fraction, for priors; None if unknown.
    """

    task: str
    seeds: int
    queries: int | None = None
    usd: float | None = None
    target: float | None = None
    untrained: float | None = None


@dataclass(frozen=True)
class Answer:
    """The answer of the cells of one student, teacher, augmenter and filter, or of the priors.

    Attributes:
        group: coordinates of the cells.
        fit: fit of the cells. If the answer is transferred, the fit of the first other task; None
            if the priors answer.
        said: the advice, or the least budget of each choice; None if there is no answer.
        reason: why there is no answer, or "".
        transferred: the tasks that the answer is transferred from; empty if the task has results.
        left_out: other tasks that nothing is transferred from, with the reasons.
        untrained: accuracy of the base model: measured, expected from other tasks, or stated in
            the question; None if unknown.
        assumed: cost of a query from the cost estimate, if the priors answer; otherwise None.
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
        """Whether the answer comes from the priors alone."""
        return self.fit is None


def ask(
    fits: Sequence[Curves],
    question: Question,
    confidence: float,
    prices: Prices | None = None,
    methods: Mapping[str, MethodKind] | None = None,
    assumed: QueryPrices | None = None,
) -> list[Answer]:
    """Return the answer of each fit of a task.

    For a task without results, answers are transferred from other tasks; if that is impossible, the
    priors answer.

    Args:
        fits: the study's fits.
        question: the question.
        confidence: coverage of the intervals.
        prices: prices of tokens by model.
        methods: kinds of the study's methods by name, for the priors; by default, those of the
            fits.
        assumed: cost of a query from the cost estimate, for the priors.

    Raises:
        ValueError: if there is no answer for these seeds and this budget, or if the question states
            the base model's accuracy although results answer it.
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
    """Return the answer of the priors, for a task without results."""
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
    # Groups without an answer, such as ablations of a single task, matter only if no group has one.
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
