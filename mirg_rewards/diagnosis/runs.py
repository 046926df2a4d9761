"""Diagnosis of a training run: its numbers by step, what rose and fell, when it collapsed, and an example."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

from mirg_rewards.diagnosis.run_checks import Finding, Run
from mirg_rewards.diagnosis.run_log import RunAnswer, RunLog
from mirg_rewards.diagnosis.summary import Diagnosis, diagnose_parsed


class Example(NamedTuple):
    """The most frequent answer of the last step: how many of its `answers` are alike, and the first of these."""

    alike: int
    answers: int
    answer: RunAnswer


@dataclass(frozen=True, slots=True)
class RunDiagnosis:
    """The findings on a run.

    Attributes:
        run: The numbers by step, their changes, and the collapse.
        findings: The problems, then the remarks.
        example: The most frequent answer of the last step.
        diagnosis: The defects of the last step, with hints.
    """

    run: Run
    findings: list[Finding]
    example: Example
    diagnosis: Diagnosis

    @property
    def is_sound(self) -> bool:
        """True if no finding is a problem."""
        return not any(finding.is_problem for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        alike, answers, answer = self.example
        example = {"alike": alike, "answers": answers, "place": answer.place, "prompt": answer.prompt}
        return {
            "sound": self.is_sound,
            "findings": [finding._asdict() for finding in self.findings],
            "collapse": None if self.run.collapse is None else self.run.collapse._asdict(),
            "changes": {name: change._asdict() for name, change in self.run.changes.items()},
            "steps": [{"step": step.step, "answers": step.answers, **step.values} for step in self.run.steps],
            "example": {**example, "completion": answer.text, "reward": answer.reward},
            "last_step": {**self.diagnosis.to_json(), "hints": self.diagnosis.hints},
        }


def diagnose_run(log: RunLog) -> RunDiagnosis:
    """Diagnose a run from its log. Raises ValueError if the log is empty.

    >>> from mirg_rewards.claims import Parsed
    >>> log = RunLog()
    >>> for step in range(8):
    ...     rewards = [number / 8 if step < 4 else 0.0 for number in range(8)]
    ...     log.add(RunAnswer(step, "a", "", "Where?", f"dog {reward}", Parsed(), 2, reward=reward) for reward in rewards)
    >>> diagnosis = diagnose_run(log)
    >>> diagnosis.run.collapse, diagnosis.is_sound
    (Collapse(step=4, sign='distinct'), False)
    """
    if not log.last:
        raise ValueError("there are no completions to judge")
    run = Run.of(log)
    counts = Counter(answer.key for answer in log.last)
    ((key, count),) = counts.most_common(1)
    example = Example(count, len(log.last), next(answer for answer in log.last if answer.key == key))
    diagnosis = diagnose_parsed(
        [answer.parsed for answer in log.last],
        [answer.image_count for answer in log.last],
        [answer.text for answer in log.last],
    )
    return RunDiagnosis(run, run.findings(), example, diagnosis)
