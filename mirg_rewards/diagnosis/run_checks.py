"""Checks of a training run's numbers: changes, collapse, and the findings that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

from mirg_rewards.diagnosis.run_log import RunLog, StepNumbers

UNBOUNDED = ("reward", "reward_std", "length")
"""Numbers that are no shares; terms of a reward are none either."""


class Change(NamedTuple):
    """A number over the steps of a run.

    `first`, `best` and `last` are means over as many steps; the best ones are the highest in a row, up to `best_step`. `error`
    is the standard error of a difference of two such means, by how much neighboring steps differ. `word` is "rose", "fell",
    or "" if last and first differ no more than by chance.
    """

    first: float
    best: float
    best_step: int
    last: float
    error: float
    word: str


class Finding(NamedTuple):
    """A sentence about a run, and what to do about it. `is_problem` is False for a remark."""

    name: str
    is_problem: bool
    sentence: str
    fix: str = ""


class Collapse(NamedTuple):
    """The first step from which the answers to each prompt, or their rewards, stay alike; `sign` names the number."""

    step: int
    sign: str


@dataclass(frozen=True, slots=True)
class Run:
    """The numbers of a run, and the lowest and the highest reward of any answer.

    >>> log = RunLog()
    >>> Run.of(log).collapse is None
    True
    """

    steps: Sequence[StepNumbers]
    changes: dict[str, Change]
    collapse: Collapse | None
    low: float
    high: float

    @classmethod
    def of(cls, log: RunLog) -> Run:
        """Find the changes and the collapse in a log."""
        steps = log.steps()
        names = dict.fromkeys(name for step in steps for name in step.values)
        changes = {name: change for name in names if (change := _change(name, steps)) is not None}
        return cls(steps, changes, _collapse(steps, log.high - log.low), log.low, log.high)

    def last(self, name: str) -> float | None:
        """Return the mean of a number over the last steps, None if it was not measured."""
        values = [step.values[name] for step in self.steps[-_window(len(self.steps)) :] if name in step.values]
        return fmean(values) if values else None

    @property
    def is_solved(self) -> bool:
        """True if the last rewards are near the highest reward of any answer: then answers may well be alike."""
        reward = self.last("reward")
        return reward is not None and self.high > self.low and reward >= self.low + SOLVED * (self.high - self.low)

    def findings(self) -> list[Finding]:
        """Return the problems, then the remarks."""
        found = [finding for check in CHECKS for finding in check(self)]
        return sorted(found, key=lambda finding: not finding.is_problem)


SOLVED = 0.9
"""Share of the range of rewards from which a task counts as solved."""
NEAR_NONE = 0.05
"""Share of distinct answers that counts as none. For the standard deviation of rewards, a fifth of it times their range."""
FEW_CLEAN = 0.2
"""Share of answers without a defect below which a run is in another form than the grammar's."""
MANY_STEPS = 20
"""Steps that the mean of the first, best or last steps takes at most; a fifth of the run otherwise."""
FEW_STEPS = 10
"""Steps below which the best ones may be so by chance."""
CLEAR_FALL = 0.1
"""Smallest fall from the best steps that is a problem, as a share of the number's range."""
CLEAR_EXCESS = 0.3
"""Share by which answers with one content must exceed the targets with one content to be blind."""


def _window(count: int) -> int:
    return max(1, min(MANY_STEPS, count // 5))


def _change(name: str, steps: Sequence[StepNumbers]) -> Change | None:
    """Return the change of a number, None if fewer than four steps have it."""
    series = [(step.step, step.values[name]) for step in steps if name in step.values]
    if len(series) < 4:
        return None
    values = [value for _, value in series]
    width = _window(len(values))
    means = [fmean(values[end - width : end]) for end in range(width, len(values) + 1)]
    best = max(range(len(means)), key=means.__getitem__)
    # Of normal noise, the mean difference of neighbors is 1.128 standard deviations.
    noise = fmean(abs(after - before) for before, after in pairwise(values)) / 1.128
    error = noise * (2 / width) ** 0.5
    is_share = name not in UNBOUNDED and not name.startswith("terms/")
    smallest = 0.02 if is_share else 0.05 * max(map(abs, values))
    rise = means[-1] - means[0]
    word = "" if abs(rise) <= max(3 * error, smallest) else "rose" if rise > 0 else "fell"
    return Change(means[0], means[best], series[best + width - 1][0], means[-1], error, word)


def _collapse(steps: Sequence[StepNumbers], spread: float) -> Collapse | None:
    """Return the first step from which a number stays near none: in 95 % of the steps, at least 3, and in the last."""
    found = []
    for sign, least in (("distinct", NEAR_NONE), ("reward_std", NEAR_NONE / 5 * spread)):
        series = [(step.step, step.values[sign] <= least) for step in steps if sign in step.values]
        count, start = 0, None
        for length, (step, is_none) in enumerate(reversed(series), 1):
            count += is_none
            if not series[-1][1]:
                break
            if is_none and length >= 3 and count >= 0.95 * length:
                start = step
        if start is not None:
            found.append(Collapse(start, sign))
    return min(found, key=lambda collapse: collapse.step, default=None)


def _alike(run: Run) -> list[Finding]:
    if run.collapse is None:
        return []
    step, sign = run.collapse
    alike = "the answers to each prompt" if sign == "distinct" else "the rewards of each prompt's answers"
    if run.is_solved:
        sentence = f"From step {step} on {alike} are alike, and nearly all earn the highest reward."
        return [Finding("solved", False, sentence, "Stop here, or train on harder rows.")]
    when = "From the first step on" if step == run.steps[0].step else f"Collapsed at step {step}: from there on"
    reward = run.last("reward")
    earned = "" if reward is None else f", and the mean reward stays at {reward:.3f}"
    fix = (
        "Check the sampling temperature, and that the reward differs between answers; diagnose and audit show why not."
        if step == run.steps[0].step
        else f"Go back to a checkpoint before step {step}; lower the learning rate, raise the temperature, or add a KL penalty."
    )
    return [Finding("collapse", True, f"{when} {alike} are alike{earned}.", fix)]


def _flat_groups(run: Run) -> list[Finding]:
    flat = run.last("zero_std_groups")
    if flat is None or flat < 0.9 or run.collapse is not None:
        return []
    sentence = f"All answers earn the same reward in {_percent(flat)} of the groups: these teach nothing."
    fix = "Take rows of middle difficulty, larger groups, or a reward with finer steps."
    return [Finding("flat_groups", not run.is_solved, sentence, fix)]


_FALLS = {
    "reward": "Go back to the checkpoint of the best step, and lower the learning rate.",
    "image_accuracy": "Give the image term more weight, or gate the IoU by it: an IoU over all images degrades the choice.",
    "iou": "Compare the box term's weight with the others'.",
    "clean": "Read the defects of the last step below; give the format term more weight.",
}


def _falls(run: Run) -> list[Finding]:
    found = []
    for name, fix in _FALLS.items() if len(run.steps) >= FEW_STEPS else ():
        change = run.changes.get(name)
        scale = run.high - run.low if name == "reward" else 1.0
        if change is None or change.best - change.last <= max(4 * change.error, CLEAR_FALL * scale):
            continue
        sentence = (
            f"The {label(name)} fell from {change.best:.3f} at its best (step {change.best_step}) to {change.last:.3f}"
        )
        reward = run.changes.get("reward")
        is_hidden = name != "reward" and reward is not None and reward.word == "rose"
        found.append(Finding(f"{name}_fell", True, sentence + (", while the reward rose." if is_hidden else "."), fix))
    return found


_BLIND = {
    "empty": (
        0.5,
        "claim nothing",
        "have nothing to find",
        "Take fewer rows without anything to find, or scale rewards by group.",
    ),
    "modal_image": (
        0.9,
        "name the same image",
        "have one image in common",
        "Shuffle the images of each row; audit the reward.",
    ),
    "modal_box": (
        0.5,
        "are the same box",
        "share one box",
        "Audit the reward (mirg-rewards audit); look whether images reach the model.",
    ),
}


def _blind(run: Run) -> list[Finding]:
    found = []
    for name, (least, does, has, fix) in _BLIND.items():
        share, true = run.last(name), run.last(f"true_{name}")
        if share is None or share < least:
            continue
        noun, true_noun = ("boxes", "true boxes") if name == "modal_box" else ("answers", "targets")
        if true is None:
            sentence = f"{_percent(share)} of the last {noun} {does}; the log has no targets to compare with."
            found.append(Finding(name, False, sentence, fix))
        elif share > true + CLEAR_EXCESS:
            sentence = (
                f"{_percent(share)} of the last {noun} {does}, but only {_percent(true)} of the {true_noun} {has}."
            )
            found.append(Finding(name, True, sentence, fix))
    return found


def _never_clean(run: Run) -> list[Finding]:
    clean = [step.values["clean"] for step in run.steps if "clean" in step.values]
    if not clean or max(clean) >= FEW_CLEAN:
        return []
    sentence = f"Few answers are in the grammar's form in any step: at most {_percent(max(clean))} have no defect."
    return [Finding("never_clean", True, sentence, "See the hints below; is it the grammar of the run (--grammar)?")]


def _length(run: Run) -> list[Finding]:
    change = run.changes.get("length")
    if change is None or not change.word or 0.5 < change.last / max(change.first, 1.0) < 2:
        return []
    sentence = f"The length {change.word} from {change.first:.0f} to {change.last:.0f} characters."
    return [Finding("length", False, sentence, "Read some answers: is the length used?")]


def _no_rise(run: Run) -> list[Finding]:
    change = run.changes.get("reward")
    if (
        change is None
        or len(run.steps) < FEW_STEPS
        or change.word == "rose"
        or run.collapse is not None
        or run.is_solved
    ):
        return []
    sentence = (
        "The reward did not rise." if not change.word else "The reward is lower at the end than at the beginning."
    )
    return [Finding("no_rise", False, sentence, "See the number of flat groups, and the hints below.")]


def _terms(run: Run) -> list[Finding]:
    reward = run.changes.get("reward")
    if reward is None or reward.word != "rose":
        return []
    fallen = [
        label(name) for name, change in run.changes.items() if name.startswith("terms/") and change.word == "fell"
    ]
    if not fallen:
        return []
    sentence = f"The reward rose while {', '.join(fallen)} fell: one term is bought with another."
    return [Finding("traded_terms", False, sentence, "Compare the weights of the terms.")]


CHECKS: tuple[Callable[[Run], list[Finding]], ...] = (
    _alike,
    _flat_groups,
    _falls,
    _blind,
    _never_clean,
    _length,
    _no_rise,
    _terms,
)


def label(name: str) -> str:
    """Return a number's name in words.

    >>> label("image_accuracy"), label("terms/format")
    ('image accuracy', 'term format')
    """
    return _LABELS.get(name, name.replace("terms/", "term ").replace("_", " "))


_LABELS = {
    "reward_std": "reward std in groups",
    "zero_std_groups": "zero-std groups",
    "iou": "IoU",
    "clean": "share without a defect",
    "length": "characters",
    "distinct": "distinct answers",
    "empty": "empty answers",
}


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
