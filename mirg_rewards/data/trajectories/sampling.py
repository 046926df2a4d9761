"""Rejection sampling: select completions, and questions, to train on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mirg_rewards.parsing import Grammar
from mirg_rewards.rewards import format_reward, image_reward, object_reward
from mirg_rewards.scorer import Response, Scorer
from mirg_rewards.targets import Target

RIGHT = 0.5
"""The IoU from which an answer counts as right, as in MIG-Bench's headline."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """The scores of the completions to one question, in order, and the decision of a policy.

    `ious` are those of `object_reward`; `image_hits` whether all the right images are named and no other; `clean` whether
    the grammar reads the answer without a defect. `kept` is the number of the completion to train on, None for none;
    `verdict` says why, in a few words. `direct` is the IoU of the answer without thinking, where the policy compares with it.
    """

    ious: tuple[float, ...]
    image_hits: tuple[bool, ...]
    clean: tuple[bool, ...]
    kept: int | None = None
    verdict: str = ""
    direct: float | None = None

    @property
    def k(self) -> int:
        """The number of completions."""
        return len(self.ious)

    def right(self, threshold: float = RIGHT) -> tuple[bool, ...]:
        """Mark the correct completions: well-formed, in the right images, with an IoU of `threshold` or more."""
        rows = zip(self.ious, self.image_hits, self.clean, strict=True)
        return tuple(iou >= threshold and hit and clean for iou, hit, clean in rows)

    def pass_rate(self, threshold: float = RIGHT) -> float:
        """Return the fraction of correct completions; 0 if there are none."""
        return sum(self.right(threshold)) / self.k if self.k else 0.0


Policy = Callable[[Sampled], tuple[int | None, str]]
"""The number of the completion to keep, None for none, and why. For RL pools any number stands for the question."""


def sample(
    completions: Sequence[Sequence[Response]],
    targets: Sequence[Target],
    grammar: Grammar | str,
    policy: Policy,
    *,
    direct: Sequence[Response] | None = None,
) -> list[Sampled]:
    """Score the completions of each question and apply `policy`.

    `direct` are answers to the same questions without thinking, read by the same grammar but for its think part. Raises
    ValueError that names the argument.

    >>> from mirg_rewards import GRAMMARS, Box, Claim
    >>> target = Target((Claim(2, Box(0.0, 0.0, 0.5, 1.0)),), sizes=(None, None))
    >>> said = '<think></think><answer>[{"image": %d, "bbox_2d": [0, 0, %d, 1000]}]</answer>'
    >>> (found,) = sample([[said % (1, 500), said % (2, 400), said % (2, 450)]], [target], GRAMMARS["mirg"], best_iou)
    >>> found.kept, [round(iou, 2) for iou in found.ious], found.verdict
    (2, [0.0, 0.8, 0.9], 'best of 2 right among 3')
    """
    for name, column in (("targets", targets), ("direct", direct)):
        if column is not None and len(column) != len(completions):
            raise ValueError(f"{name} needs one entry for each of {len(completions)} questions, got {len(column)}")
    flat = [(text, target) for texts, target in zip(completions, targets, strict=True) for text in texts]
    ious, hits, clean = _judged([text for text, _ in flat], [target for _, target in flat], grammar)
    first: list[float | None] = [None] * len(completions)
    if direct is not None:
        first = list(_judged(direct, targets, grammar)[0])
    found, start = [], 0
    for texts, before in zip(completions, first, strict=True):
        end = start + len(texts)
        one = Sampled(tuple(ious[start:end]), tuple(hits[start:end]), tuple(clean[start:end]), direct=before)
        kept, verdict = policy(one)
        found.append(Sampled(one.ious, one.image_hits, one.clean, kept, verdict, before))
        start = end
    return found


def best_iou(found: Sampled) -> tuple[int | None, str]:
    """Keep the correct completion with the best IoU; the first of several."""
    right = [number for number, is_right in enumerate(found.right()) if is_right]
    if not right:
        return None, f"none right among {found.k}"
    return max(right, key=lambda number: found.ious[number]), f"best of {len(right)} right among {found.k}"


def mg_thinker(gain: float = 0.1, far_gain: float = 0.2, threshold: float = RIGHT) -> Policy:
    """Build MG-Thinker's policy: keep a completion only if reasoning beats the direct answer.

    Kept is the completion of the best IoU, a right one before all others, if the direct answer was right and the IoU
    grew by `gain`; if it was wrong and is right now; or if it is wrong still, and the IoU grew by `far_gain`. The paper
    speaks of 10 % and 20 %; here they are differences of IoU, and right is an IoU of `threshold`, neither of which it
    says.

    >>> policy = mg_thinker()
    >>> policy(Sampled((0.65,), (True,), (True,), direct=0.6)), policy(Sampled((0.55,), (True,), (True,), direct=0.4))
    ((None, 'right before, and 0.05 better'), (0, 'wrong before, right now'))
    """

    def policy(found: Sampled) -> tuple[int | None, str]:
        if found.direct is None:
            raise ValueError("mg_thinker compares with answers without thinking: sample(..., direct=...)")
        sound = [n for n in range(found.k) if found.clean[n]]
        if not sound:
            return None, f"none readable among {found.k}"
        right = found.right(threshold)
        best = max(sound, key=lambda number: (right[number], found.ious[number]))
        grown = found.ious[best] - found.direct
        said = f"{'right' if found.direct >= threshold else 'wrong'} before, "
        if found.direct >= threshold:
            return (best if grown >= gain - _EXACT else None), f"{said}and {grown:.2f} better"
        if right[best]:
            return best, f"{said}right now"
        return (best if grown >= far_gain - _EXACT else None), f"{said}wrong still, and {grown:.2f} better"

    return policy


def pass_rate_window(lowest: float = 0.0, highest: float = 1.0, threshold: float = RIGHT) -> Policy:
    """Build a policy that keeps questions with a pass rate above `lowest` and below `highest`.

    By default those that are sometimes answered rightly and sometimes not: a group of GRPO whose rewards are all alike
    teaches nothing. No published pool states a window that could be named here. The completion kept is the best right one.

    >>> pass_rate_window()(Sampled((0.9, 0.1), (True, True), (True, True)))
    (0, 'pass rate 0.50')
    """
    if not 0 <= lowest < highest <= 1:
        raise ValueError(f"the window must have 0 <= lowest < highest <= 1, got {lowest} and {highest}")

    def policy(found: Sampled) -> tuple[int | None, str]:
        rate = found.pass_rate(threshold)
        right = found.right(threshold)
        best = max(range(found.k), key=lambda number: (right[number], found.ious[number]), default=None)
        return (best if lowest < rate < highest else None), f"pass rate {rate:.2f}"

    return policy


_EXACT = 1e-6


def _judged(
    texts: Sequence[Response], targets: Sequence[Target], grammar: Grammar | str
) -> tuple[list[float], list[bool], list[bool]]:
    if not texts:
        return [], [], []
    answers, true = Scorer(grammar, object_reward).read(texts, targets)
    ious: list[float] = object_reward(answers, true).tolist()
    return ious, (image_reward(answers, true) == 1).tolist(), (format_reward(answers, true) == 1).tolist()
