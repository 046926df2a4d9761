"""Properties of every reward: each function looks for a counterexample to one property.

The first paragraph of a property's docstring says what holds, the second what to do where it does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mirg_rewards.claims import Box, Claim
from mirg_rewards.parsing import Grammar
from mirg_rewards.targets import Target
from mirg_rewards.testing.answer_format import write_answer
from mirg_rewards.testing.callables import LEFT_OUT, output_fault
from mirg_rewards.testing.property_context import CLOSE, Counterexample, Draw, PropertyContext, agree
from mirg_rewards.testing.side_effects import input_unchanged, results_kept, world_unchanged
from mirg_rewards.testing.strategies import answer_formats, answers_about, boxes, responses

_NEARLY = 0.9
"""Fraction of the maximum that the ground truth must earn: models count in whole numbers, and those round."""


def never_raises(context: PropertyContext, draw: Draw) -> None:
    """Whatever a model writes earns a number: also nothing at all, NaN for a number, an image that is not there.

    Let what cannot be read earn 0.
    """
    texts, targets = context.rows_and_truth(draw, is_corrupted=True)
    try:
        context.earn(texts, targets)
    except Counterexample:
        for text, target in zip(texts, targets, strict=True):
            context.earn([text], [target])
        raise


def form(context: PropertyContext, draw: Draw) -> None:
    """A reward gives a float32 tensor with one number for each row, on the device of its input; a function, plain numbers.

    End a reward with `.float()` and keep its shape [b]; end a trainer's function with `.tolist()`.
    """
    texts, targets = context.rows(draw)
    context.earn(texts, targets)
    outputs = context.judge.call(context.judge.arguments(texts, targets))
    fault = output_fault(context.judge.kind, outputs, len(texts))
    if fault:
        wanted = f"float32 [{len(texts)}]" if context.judge.kind in ("reward", "scorer") else f"{len(texts)} numbers"
        rows = list(zip(texts, targets, strict=True))
        raise Counterexample("form", rows, [fault] * len(rows), [wanted] * len(rows))


def finite(context: PropertyContext, draw: Draw) -> None:
    """No row earns NaN or an infinity: one such number spoils the whole update. None leaves a row out of TRL's update.

    Look for a division by a count or a union that can be 0, and say what such a row earns. Return None by the columns of a
    row alone: a completion that is left out is never punished.
    """
    texts, targets = context.rows_and_truth(draw, is_corrupted=True)
    for text, target, number in zip(texts, targets, context.earn(texts, targets), strict=True):
        if number is LEFT_OUT and context.earn([context.truths(target)[0]], [target])[0] is not LEFT_OUT:
            expected = "a number, as the truth of the same row earns"
            raise Counterexample("finite", [(text, target)], [number], [expected])
    _each(context, draw, "finite", lambda number: number is LEFT_OUT or math.isfinite(number), "a finite number")


def bounded(context: PropertyContext, draw: Draw) -> None:
    """No row earns less or more than the bounds.

    Divide by the larger count of claims, so that more claims never pay; or pass the range that is meant as `bounds`.
    """
    low, high = context.bounds
    expected = f"from {low:g} to {high:g}"
    _each(context, draw, "bounded", lambda number: not (number < low - CLOSE or number > high + CLOSE), expected)


def deterministic(context: PropertyContext, draw: Draw) -> None:
    """The same rows earn the same at every call.

    Keep no state between calls and draw no random numbers.
    """
    texts, targets = context.rows(draw)
    earned, again = context.earn(texts, targets), context.earn(texts, targets)
    if not agree(again, earned, 0.0):
        expected = [f"{number!r}, as at the first call" for number in earned]
        raise Counterexample("deterministic", list(zip(texts, targets, strict=True)), again, expected)


def pays_the_truth(context: PropertyContext, draw: Draw) -> None:
    """The truth, written out in form, earns nearly the most that there is to earn, and more than no word at all.

    See that the reward reads the form that is written, in its coordinates, for images of any number and size, and that it
    remembers no text; or pass what there is to earn as `bounds`. A reward that only costs is meant to be so.
    """
    target, other = context.target(draw, lambda target: bool(target.claims)), context.target(draw)
    low, high = context.bounds
    texts = context.truths(target)
    # What a text earns by one target must not be remembered for another.
    context.earn(texts, [other] * len(texts))
    silence = context.earn([""], [target])[0]
    least = max(high - (1 - _NEARLY) * (high - low), -math.inf if silence is LEFT_OUT else silence + 2 * CLOSE)
    earned = [(context.earn([text], [target])[0], text) for text in texts]
    paid = [one for one in earned if one[0] is not LEFT_OUT]
    if not paid:  # the row is not judged
        reject()
    most, truth = max(paid)
    if most < least and context.is_steady(([truth], [target]), [most]):
        expected = f"at least {least:.6g}, of up to {high:g}; no word at all earns {silence:.6g}"
        raise Counterexample("pays_the_truth", [(truth, target)], [most], [expected])


def highest_on_the_truth(context: PropertyContext, draw: Draw) -> None:
    """No completion earns more than the truth itself, written out in form.

    Pay for what is true only: not for length, for the number of claims, or for saying more than there is.
    """
    target = context.target(draw)
    truths = context.truths(target)
    texts = [draw(responses(context.judge.grammar, target=target)), *_lavish(target, context.judge.grammar)]
    paid, paid_truths = (
        [one for one in zip(context.earn(some, [target] * len(some)), some, strict=True) if one[0] is not LEFT_OUT]
        for some in (texts, truths)
    )
    if not paid or not paid_truths:  # the row is not judged
        return
    (earned, text), (most, truth) = max(paid), max(paid_truths)
    if earned > most + CLOSE and context.is_steady(([text], [target]), [earned]):
        expected = f"at most {most:.6g}, what the truth earns: {truth}"
        raise Counterexample("highest_on_the_truth", [(text, target)], [earned], [expected])


def order_of_claims(context: PropertyContext, draw: Draw) -> None:
    """An answer earns the same in whatever order it makes its claims, and in whatever order the true ones stand.

    Pair claims one to one by an optimal matching (`Overlap`, or `kernels.match`): not by position, and not greedily.
    """
    grammar, target = draw(answer_formats(context.judge.grammar)), draw(context.targets)
    predicted = draw(answers_about(target, min_size=2))
    turned = replace(target, claims=target.claims[::-1])
    text, last_first = write_answer(predicted, target, grammar), write_answer(predicted[::-1], target, grammar)
    orders = [
        (write_answer(predicted[1:] + predicted[:1], target, grammar), target),
        (last_first, target),
        (text, turned),
    ]
    earned = context.earn([text], [target])
    others, targets = map(list, zip(*orders, strict=True))
    for other, beside, expected in zip(others, targets, context.earn(others, targets), strict=True):
        why = f"as in the order {other}" if beside is target else f"as beside the truth in the order {beside.to_json()}"
        context.compare("order_of_claims", ([text], [target]), earned, [expected], why, within=CLOSE)


def order_of_rows(context: PropertyContext, draw: Draw) -> None:
    """A row earns the same at whatever place of the batch it stands.

    Look for an index that is always 0, or for rows whose offsets are mixed up.
    """
    texts, targets = context.rows_and_truth(draw, min_size=2)
    expected = context.earn(texts[::-1], targets[::-1])[::-1]
    earned = context.earn(texts, targets)
    context.compare("order_of_rows", (texts, targets), earned, expected, "in the batch backwards", within=CLOSE)


def alone_or_in_a_batch(context: PropertyContext, draw: Draw) -> None:
    """A row earns the same alone and beside any other rows.

    Leave it to the trainer to compare the rows of a group: take no mean, maximum or deviation over the batch.
    """
    texts, targets = context.rows_and_truth(draw, min_size=2)
    expected = [context.earn([text], [target])[0] for text, target in zip(texts, targets, strict=True)]
    earned = context.earn(texts, targets)
    context.compare("alone_or_in_a_batch", (texts, targets), earned, expected, "what it earns alone", within=CLOSE)


def empty_batch(context: PropertyContext, draw: Draw) -> None:
    """A reward gives an empty result for a batch without rows. Trainers never call a function of theirs with none.

    Let sums and indices work on no rows: take no `[0]`, and no maximum of nothing.
    """
    del draw
    if context.judge.kind not in ("reward", "scorer"):
        return
    try:
        context.earn([], [])
        fault = output_fault(context.judge.kind, context.judge.call(context.judge.arguments([], [])), 0)
    except Counterexample as found:
        raise Counterexample("empty_batch", [], found.earned, ["float32 [0]"]) from found.__cause__
    if fault:
        raise Counterexample("empty_batch", [], [fault], ["float32 [0]"])


def padding(context: PropertyContext, draw: Draw) -> None:
    """A row earns the same beside another that is far longer, with many more claims.

    Where rows are padded to the longest, mask the padding out of every sum, mean and maximum.
    """
    grammar, target = context.judge.grammar, context.target(draw)
    texts, targets = [draw(responses(grammar, target=target)), context.truths(target)[0]], [target, target]
    long = write_answer(
        (Claim(1, Box(0.0, 0.0, 1.0, 1.0)),) * min(grammar.max_claims, 16), target, grammar, think="a dog " * 40
    )
    expected = context.earn(texts, targets)
    earned = context.earn([long, *texts], [target, *targets])[1:]
    context.compare("padding", (texts, targets), earned, expected, f"without the row {long}", within=CLOSE)


def pickled(context: PropertyContext, draw: Draw) -> None:
    """The reward pickles, and earns the same once it is read back: workers get it that way.

    Write it as a function of a module or as a dataclass: not as a lambda, nor as a function within a function.
    """
    texts, targets = context.rows(draw)
    try:
        again = context.judge.pickled()
    except Exception as error:
        raise Counterexample("pickled", [], [f"{type(error).__name__}: {error}"], ["a pickle of it"]) from error
    earned, expected = context.earn(texts, targets, again), context.earn(texts, targets)
    context.compare("pickled", (texts, targets), earned, expected, "before it was pickled")


def in_a_thread(context: PropertyContext, draw: Draw) -> None:
    """The reward earns the same in a thread that is not the main one: trainers judge there.

    Use no signals, no timeouts built on them and no thread-local state.
    """
    texts, targets = context.rows(draw)
    expected = context.earn(texts, targets)
    with ThreadPoolExecutor(1) as pool:
        try:
            earned = pool.submit(context.earn, texts, targets).result()
        except Counterexample as found:
            rows = list(zip(texts, targets, strict=True))
            raise Counterexample("in_a_thread", rows, found.earned, [f"{number:.6g}" for number in expected]) from None
    context.compare("in_a_thread", (texts, targets), earned, expected, "in the main thread")


def same_on_device(context: PropertyContext, draw: Draw) -> None:
    """The reward earns the same on the device that was asked for, up to float32, and gives its result there.

    Make new tensors on the device of the input: `torch.zeros(..., device=answers.defects.device)`.
    """
    assert context.device is not None
    texts, targets = context.rows(draw)
    judge = context.judge.on(context.device)
    earned, expected = context.earn(texts, targets, judge), context.earn(texts, targets)
    fault = output_fault(judge.kind, judge.call(judge.arguments(texts, targets)), len(texts), context.device)
    rows = list(zip(texts, targets, strict=True))
    if fault:
        raise Counterexample("same_on_device", rows, [fault] * len(rows), [f"a tensor on {context.device}"] * len(rows))
    context.compare("same_on_device", (texts, targets), earned, expected, "on the CPU", within=1e-4)


def monotone_in_iou(context: PropertyContext, draw: Draw) -> None:
    """Of two boxes in the right image, the one with the higher IoU never earns less.

    Look for a threshold that is compared the wrong way round, or a term that pays for the size of a box.
    """
    target = context.target(draw, lambda target: any(claim.box is not None for claim in target.claims))
    target_claim = next(claim for claim in target.claims if claim.box is not None)
    target = replace(target, claims=(target_claim,))
    assert target_claim.box is not None
    one, other = draw(boxes() | _about(target_claim.box)), draw(_about(target_claim.box))
    far, near = sorted((one, other), key=lambda box: _iou(box, target_claim.box))
    # Spaces round: boxes that are as good as equal may change places.
    if _iou(near, target_claim.box) - _iou(far, target_claim.box) < 0.02:
        return
    texts = [
        write_answer([replace(target_claim, box=box, polygon=None)], target, context.judge.grammar)
        for box in (far, near)
    ]
    less, more = (context.earn([text], [target])[0] for text in texts)
    if less > more + CLOSE and context.is_steady(([texts[0]], [target]), [less]):
        ious = f"{_iou(near, target_claim.box):.2f} instead of {_iou(far, target_claim.box):.2f}"
        expected = f"at most {more:.6g}, what a box with an IoU of {ious} earns: {texts[1]}"
        raise Counterexample("monotone_in_iou", [(texts[0], target)], [less], [expected])


PROPERTIES: Mapping[str, Callable[[PropertyContext, Draw], None]] = {
    check.__name__: check
    for check in (
        never_raises,
        form,
        finite,
        deterministic,
        alone_or_in_a_batch,
        order_of_rows,
        empty_batch,
        bounded,
        pays_the_truth,
        highest_on_the_truth,
        order_of_claims,
        padding,
        pickled,
        in_a_thread,
        input_unchanged,
        results_kept,
        world_unchanged,
        same_on_device,
        monotone_in_iou,
    )
}
"""Every property by its name, in the order in which they are checked: the plainest faults first.

A reward that draws random numbers, or reads other rows, breaks most of them: determinism and independence come early.
"""

NEEDS: Mapping[str, str] = {"pays_the_truth": "a claim that the reward judges", "monotone_in_iou": "a box"}
"""Requirement of a target for a property to be checked on it."""


def _each(context: PropertyContext, draw: Draw, broken: str, is_fine: Callable[[float], bool], expected: str) -> None:
    texts, targets = context.rows_and_truth(draw, is_corrupted=True)
    earned = context.earn(texts, targets)
    for text, target, number in zip(texts, targets, earned, strict=True):
        if not is_fine(number) and not is_fine(context.earn([text], [target])[0]):
            raise Counterexample(broken, [(text, target)], [number], [expected])
    if not all(map(is_fine, earned)):
        raise Counterexample(broken, list(zip(texts, targets, strict=True)), earned, [expected] * len(earned))


def _lavish(target: Target, grammar: Grammar) -> list[str]:
    """The truth, told at length, and twice: what pays for more than is asked pays for these."""
    twice = (target.claims * 2)[: grammar.max_claims]
    return [
        write_answer(target.claims, target, grammar, think="There is a dog. " * 20),
        write_answer(twice, target, grammar),
    ]


def _about(box: Box) -> SearchStrategy[Box]:
    """Boxes whose sides lie up to a quarter of the box's own away from its own."""
    width, height = (box.x2 - box.x1) / 8, (box.y2 - box.y1) / 8

    def nudged(steps: tuple[int, ...]) -> Box:
        sides = zip(box.corners, steps, (width, height) * 2, strict=True)
        return Box(*(min(max(side + step * size, 0.0), 1.0) for side, step, size in sides))

    return st.tuples(*[st.integers(-2, 2)] * 4).map(nudged)


def _iou(one: Box, other: Box | None) -> float:
    assert other is not None
    width = min(one.x2, other.x2) - max(one.x1, other.x1)
    height = min(one.y2, other.y2) - max(one.y1, other.y1)
    inside = max(width, 0.0) * max(height, 0.0)
    return inside / (one.area + other.area - inside)
