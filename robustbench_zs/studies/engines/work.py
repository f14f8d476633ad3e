"""What is done for the networks of a study, wherever an engine has it done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from robustbench_zs.evaluation.evaluator import EvaluationTask, evaluate_one
from robustbench_zs.evaluation.sources import remember_trained
from robustbench_zs.evaluation.store import ResultsStore
from robustbench_zs.evaluation.transfer import TransferTask
from robustbench_zs.studies.plan import EvaluateStep, TransferStep
from robustbench_zs.training.events import numbered
from robustbench_zs.training.execution import Execution
from robustbench_zs.training.loop import Epoch
from robustbench_zs.training.task import TrainingTask
from robustbench_zs.training.train import train_some
from robustbench_zs.training.trial import deal


def deal_steps(
    steps: Sequence[EvaluateStep],
    execution: Execution,
    choose: Callable[[Sequence[TrainingTask]], Sequence[Execution]],
    at_a_time: int,
) -> list[tuple[list[EvaluateStep], Execution]]:
    """Which networks one job trains and evaluates, and how; those of earlier phases come first, see `deal`.

    Args:
        execution: for networks that are trained already, one per job.
        choose: gives the executions of the others.
    """
    untrained = [step for step in steps if not step.task.existing()]
    dealt, executions = [], choose([step.task for step in untrained])
    for phase in sorted({step.phase for step in untrained}):
        places = [i for i, step in enumerate(untrained) if step.phase == phase]
        for indices, how in deal([untrained[i].task for i in places], [executions[i] for i in places], at_a_time):
            dealt.append(([untrained[places[i]] for i in indices], how))
    ids = {step.id for step in untrained}
    return dealt + [([step], execution) for step in steps if step.id not in ids]


def do_networks(
    steps: Sequence[EvaluateStep],
    execution: Execution,
    store: str,
    batch_size: int,
    send: Callable[[tuple[int, Epoch | str]], None],
) -> None:
    """Train networks that are not trained yet, together, then do the evaluations of each that are not in the store.

    Args:
        send: gets the place of a network in `steps` with an epoch of its training or the label of an evaluation.
    """
    missing = [i for i, step in enumerate(steps) if step.task.existing() is None]
    if missing:
        train_some([steps[i].task for i in missing], execution, lambda event: send((missing[event[0]], event[1])))
    for index, step in enumerate(steps):
        checkpoint = step.task.existing()
        assert checkpoint is not None
        remember_trained(ResultsStore(store), checkpoint)
        if step.questions:
            task = EvaluationTask(checkpoint, step.task.images, step.questions, execution, batch_size, store)
            evaluate_one(task, numbered(send, index))


def transfer_task(step: TransferStep, execution: Execution, store: str, batch_size: int) -> TransferTask:
    source, targets = step.task.existing(), [target.existing() for target in step.targets]
    assert source is not None
    there = tuple(target for target in targets if target is not None)
    return TransferTask(source, there, step.attack, step.task.images, execution, batch_size, store)
