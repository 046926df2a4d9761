"""What must hold of every reward: one function a property, each looking for a counterexample.

The first paragraph of a property's docstring says what holds, the second what to do where it does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from mirg_rewards.batch import Device
from mirg_rewards.claims import Box, Claim, Parsed, Target
from mirg_rewards.testing.judges import FormError, Judge, form_fault
from mirg_rewards.testing.strategies import answers_about, boxes, responses, written

Draw = Callable[[SearchStrategy[Any]], Any]

_CLOSE = 1e-6
"""How far two sums of the same numbers in another order may lie apart, as float32."""


class Counterexample(Exception):  # noqa: N818 - it is what was looked for
    """Rows for which a property does not hold: what each earned, and beside it what was expected."""

    def __init__(
        self, broken: str, rows: Sequence[tuple[str, Target]], earned: Sequence[object], expected: Sequence[str]
    ) -> None:
        super().__init__(broken)
        self.broken, self.rows, self.earned, self.expected = broken, tuple(rows), tuple(earned), tuple(expected)


@dataclass(frozen=True, slots=True)
class Trial:
    """What is being checked, and the rows to check it on."""

    judge: Judge
    targets: SearchStrategy[Target]
    bounds: tuple[float, float]
    device: Device | None = None

    def rows(self, draw: Draw, *, min_size: int = 1, max_size: int = 3) -> tuple[list[str], list[Target]]:
        """Completions, clean and messy, and their targets."""
        true = draw(st.lists(self.targets, min_size=min_size, max_size=max_size))
        return [draw(responses(self.judge.grammar, target=target)) for target in true], true

    def earn(self, texts: Sequence[str], targets: Sequence[Target], judge: Judge | None = None) -> list[float]:
        """What the rows earn; a subject that raises, or gives another number of numbers, is a counterexample itself."""
        rows = list(zip(texts, targets, strict=True))
        try:
            return (judge or self.judge)(texts, targets)
        except FormError as error:
            raise Counterexample("form", rows, [error] * len(rows), ["one number"] * len(rows)) from None
        except Exception as error:
            raised = f"raised {type(error).__name__}: {error}"
            raise Counterexample("never_raises", rows, [raised] * len(rows), ["a number"] * len(rows)) from error

    def compare(
        self,
        broken: str,
        rows: tuple[Sequence[str], Sequence[Target]],
        earned: Sequence[float],
        expected: Sequence[float],
        why: str,
        *,
        within: float = 0.0,
    ) -> None:
        """Nothing if the two agree, or if the rows earn something else at each call: that is another fault."""
        if not _agree(earned, expected, within) and self.is_steady(rows, earned, expected):
            shown = [f"{number:.6g}, {why}" for number in expected]
            raise Counterexample(broken, list(zip(*rows, strict=True)), earned, shown)

    def is_steady(self, rows: tuple[Sequence[str], Sequence[Target]], *earned: Sequence[float]) -> bool:
        """Whether the rows earn once more what they did: if not, `deterministic` is broken, and nothing else is known."""
        again = self.earn(*rows)
        return any(_agree(again, before, 0.0) for before in earned)


def never_raises(trial: Trial, draw: Draw) -> None:
    """Whatever a model writes earns a number: also nothing at all, NaN for a number, an image that is not there.

    Let what cannot be read earn 0. A batch without rows earns an empty result.
    """
    texts, targets = trial.rows(draw, min_size=0)
    for text, target in zip(texts, targets, strict=True):
        trial.earn([text], [target])
    trial.earn(texts, targets)


def form(trial: Trial, draw: Draw) -> None:
    """A reward gives a float32 tensor with one number for each row, on the device of its input; a function, plain numbers.

    End a reward with `.float()` and keep its shape [b]; end a trainer's function with `.tolist()`.
    """
    texts, targets = trial.rows(draw, min_size=0)
    trial.earn(texts, targets)
    given = trial.judge.given(trial.judge.arguments(texts, targets))
    fault = form_fault(trial.judge.kind, given, len(texts))
    if fault:
        wanted = f"float32 [{len(texts)}]" if trial.judge.kind in ("reward", "scorer") else f"{len(texts)} numbers"
        rows = list(zip(texts, targets, strict=True))
        raise Counterexample("form", rows, [fault] * max(len(rows), 1), [wanted] * max(len(rows), 1))


def finite(trial: Trial, draw: Draw) -> None:
    """No row earns NaN, an infinity or None: one such number spoils the whole update.

    Look for a division by a count or a union that can be 0, and say what such a row earns.
    """
    _each(trial, draw, "finite", math.isfinite, "a finite number")


def bounded(trial: Trial, draw: Draw) -> None:
    """No row earns less or more than the bounds.

    Divide by the larger count of claims, so that more claims never pay; or pass the range that is meant as `bounds`.
    """
    low, high = trial.bounds
    expected = f"from {low:g} to {high:g}"
    _each(trial, draw, "bounded", lambda number: not (number < low - _CLOSE or number > high + _CLOSE), expected)


def deterministic(trial: Trial, draw: Draw) -> None:
    """The same rows earn the same at every call.

    Keep no state between calls and draw no random numbers.
    """
    texts, targets = trial.rows(draw)
    earned, again = trial.earn(texts, targets), trial.earn(texts, targets)
    if not _agree(again, earned, 0.0):
        expected = [f"{number!r}, as at the first call" for number in earned]
        raise Counterexample("deterministic", list(zip(texts, targets, strict=True)), again, expected)


def highest_on_the_truth(trial: Trial, draw: Draw) -> None:
    """No completion earns more than the truth itself, written out in form.

    Pay for what is true only: not for length, for the number of claims, or for saying more than there is.
    """
    target = draw(trial.targets)
    grammar = trial.judge.grammar
    text, truth = draw(responses(grammar, target=target)), written(target.claims, grammar, target)
    earned, most = trial.earn([text], [target])[0], trial.earn([truth], [target])[0]
    if earned > most + _CLOSE and trial.is_steady(([text], [target]), [earned]):
        expected = f"at most {most:.6g}, what the truth earns: {truth}"
        raise Counterexample("highest_on_the_truth", [(text, target)], [earned], [expected])


def order_of_claims(trial: Trial, draw: Draw) -> None:
    """An answer earns the same in whatever order it makes its claims, and in whatever order the true ones stand.

    Pair claims one to one by an optimal matching (`Overlap`, or `kernels.match`): not by position, and not greedily.
    """
    grammar, target = trial.judge.grammar, draw(trial.targets)
    said = draw(answers_about(target))
    order, true_order = draw(st.permutations(said)), draw(st.permutations(target.claims))
    text, other = written(said, grammar, target), written(order, grammar, target)
    turned = replace(target, claims=tuple(true_order))
    expected = trial.earn([other], [turned])
    earned = trial.earn([text], [target])
    moved = f" beside the truth in the order {turned.to_json()}" if true_order != list(target.claims) else ""
    why = f"as in the order {other}{moved}"
    trial.compare("order_of_claims", ([text], [target]), earned, expected, why, within=_CLOSE)


def order_of_rows(trial: Trial, draw: Draw) -> None:
    """A row earns the same at whatever place of the batch it stands.

    Look for an index that is always 0, or for rows whose offsets are mixed up.
    """
    texts, targets = trial.rows(draw, min_size=2)
    expected = trial.earn(texts[::-1], targets[::-1])[::-1]
    earned = trial.earn(texts, targets)
    trial.compare("order_of_rows", (texts, targets), earned, expected, "in the batch backwards", within=_CLOSE)


def alone_or_in_a_batch(trial: Trial, draw: Draw) -> None:
    """A row earns the same alone and beside any other rows.

    Leave it to the trainer to compare the rows of a group: take no mean, maximum or deviation over the batch.
    """
    texts, targets = trial.rows(draw, min_size=2)
    expected = [trial.earn([text], [target])[0] for text, target in zip(texts, targets, strict=True)]
    earned = trial.earn(texts, targets)
    trial.compare("alone_or_in_a_batch", (texts, targets), earned, expected, "what it earns alone", within=_CLOSE)


def padding(trial: Trial, draw: Draw) -> None:
    """A row earns the same beside another that is far longer, with many more claims.

    Where rows are padded to the longest, mask the padding out of every sum, mean and maximum.
    """
    (text,), (target,) = trial.rows(draw, max_size=1)
    grammar = trial.judge.grammar
    long = written(
        (Claim(1, Box(0.0, 0.0, 1.0, 1.0)),) * min(grammar.max_claims, 16), grammar, target, think="a dog " * 40
    )
    expected = trial.earn([text], [target])
    earned = trial.earn([long, text], [target, target])[1:]
    if not _agree(earned, expected, _CLOSE) and trial.is_steady(([text], [target]), expected):
        rows = [(text, target), (long, target)]
        raise Counterexample("padding", rows, earned, [f"{expected[0]:.6g}, what it earns alone"])


def pickled(trial: Trial, draw: Draw) -> None:
    """The reward pickles, and earns the same once it is read back: workers get it that way.

    Write it as a function of a module or as a dataclass: not as a lambda, nor as a function within a function.
    """
    texts, targets = trial.rows(draw)
    try:
        again = trial.judge.pickled()
    except Exception as error:
        raise Counterexample("pickled", [], [f"{type(error).__name__}: {error}"], ["a pickle of it"]) from error
    earned, expected = trial.earn(texts, targets, again), trial.earn(texts, targets)
    trial.compare("pickled", (texts, targets), earned, expected, "before it was pickled")


def in_a_thread(trial: Trial, draw: Draw) -> None:
    """The reward earns the same in a thread that is not the main one: trainers judge there.

    Use no signals, no timeouts built on them and no thread-local state.
    """
    texts, targets = trial.rows(draw)
    expected = trial.earn(texts, targets)
    with ThreadPoolExecutor(1) as pool:
        try:
            earned = pool.submit(trial.earn, texts, targets).result()
        except Counterexample as found:
            rows = list(zip(texts, targets, strict=True))
            raise Counterexample("in_a_thread", rows, found.earned, [f"{number:.6g}" for number in expected]) from None
    trial.compare("in_a_thread", (texts, targets), earned, expected, "in the main thread")


def input_unchanged(trial: Trial, draw: Draw) -> None:
    """The reward leaves its input as it was: other rewards are handed the same.

    Work on copies: no operation whose name ends in `_`, no `sort()` or `pop()` of a list that was handed in.
    """
    texts, targets = trial.rows(draw)
    judge = trial.judge
    if judge.kind == "scorer":
        judge = replace(judge, subject=judge.subject.reward, kind="reward", device=judge.subject.device)
    calls = judge.arguments(texts, targets)
    before = _snapshot(calls)
    try:
        judge.given(calls)
    except Exception:  # noqa: BLE001 - `never_raises` tells of it
        return
    if _snapshot(calls) != before:
        rows = list(zip(texts, targets, strict=True))
        raise Counterexample("input_unchanged", rows, ["its input was changed"] * len(rows), ["no change"] * len(rows))


def same_on_device(trial: Trial, draw: Draw) -> None:
    """The reward earns the same on the device that was asked for, up to float32, and gives its result there.

    Make new tensors on the device of the input: `torch.zeros(..., device=answers.defects.device)`.
    """
    assert trial.device is not None
    texts, targets = trial.rows(draw, min_size=0)
    judge = trial.judge.on(trial.device)
    earned, expected = trial.earn(texts, targets, judge), trial.earn(texts, targets)
    fault = form_fault(judge.kind, judge.given(judge.arguments(texts, targets)), len(texts), trial.device)
    rows = list(zip(texts, targets, strict=True))
    if fault:
        raise Counterexample(
            "same_on_device", rows, [fault] * max(len(rows), 1), [f"a tensor on {trial.device}"] * len(rows)
        )
    trial.compare("same_on_device", (texts, targets), earned, expected, "on the CPU", within=1e-4)


def monotone_in_iou(trial: Trial, draw: Draw) -> None:
    """Of two boxes in the right image, the one with the higher IoU never earns less.

    Look for a threshold that is compared the wrong way round, or a term that pays for the size of a box.
    """
    target = draw(trial.targets.filter(lambda target: any(claim.box is not None for claim in target.claims)))
    true = next(claim for claim in target.claims if claim.box is not None)
    target = replace(target, claims=(true,))
    assert true.box is not None
    one, other = draw(boxes()), draw(boxes())
    far, near = sorted((one, other), key=lambda box: _iou(box, true.box))
    # Spaces round: boxes that are as good as equal may change places.
    if _iou(near, true.box) - _iou(far, true.box) < 0.02:
        return
    texts = [written([replace(true, box=box, polygon=None)], trial.judge.grammar, target) for box in (far, near)]
    less, more = (trial.earn([text], [target])[0] for text in texts)
    if less > more + _CLOSE and trial.is_steady(([texts[0]], [target]), [less]):
        ious = f"{_iou(near, true.box):.2f} instead of {_iou(far, true.box):.2f}"
        expected = f"at most {more:.6g}, what a box with an IoU of {ious} earns: {texts[1]}"
        raise Counterexample("monotone_in_iou", [(texts[0], target)], [less], [expected])


PROPERTIES: Mapping[str, Callable[[Trial, Draw], None]] = {
    check.__name__: check
    for check in (
        never_raises,
        form,
        finite,
        bounded,
        deterministic,
        highest_on_the_truth,
        order_of_claims,
        order_of_rows,
        alone_or_in_a_batch,
        padding,
        pickled,
        in_a_thread,
        input_unchanged,
        same_on_device,
        monotone_in_iou,
    )
}
"""Every property by its name, in the order in which they are checked: the plainest faults first."""


def _each(trial: Trial, draw: Draw, broken: str, is_fine: Callable[[float], bool], expected: str) -> None:
    texts, targets = trial.rows(draw)
    earned = trial.earn(texts, targets)
    for text, target, number in zip(texts, targets, earned, strict=True):
        if not is_fine(number) and not is_fine(trial.earn([text], [target])[0]):
            raise Counterexample(broken, [(text, target)], [number], [expected])
    if not all(map(is_fine, earned)):
        raise Counterexample(broken, list(zip(texts, targets, strict=True)), earned, [expected] * len(earned))


def _agree(earned: Sequence[float], expected: Sequence[float], within: float) -> bool:
    return all(
        one == other or abs(one - other) <= within or (math.isnan(one) and math.isnan(other))
        for one, other in zip(earned, expected, strict=True)
    )


def _snapshot(value: Any) -> Any:
    """What can be compared with a later snapshot: tensors as lists, readings by their claims."""
    if isinstance(value, Tensor):
        return value.dtype, value.tolist()
    if isinstance(value, Parsed):
        return list(value.rows), value.defect_bits
    if isinstance(value, Target):
        return value.to_json()
    if isinstance(value, Mapping):
        return [(name, _snapshot(part)) for name, part in value.items()]
    if isinstance(value, list | tuple):
        return [_snapshot(part) for part in value]
    return value


def _iou(one: Box, other: Box | None) -> float:
    assert other is not None
    width = min(one.x2, other.x2) - max(one.x1, other.x1)
    height = min(one.y2, other.y2) - max(one.y1, other.y1)
    inside = max(width, 0.0) * max(height, 0.0)
    return inside / (one.area + other.area - inside)
