"""One interface to rewards, scorers and trainers' reward functions: texts and targets in, one number a row out."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from mirg_rewards.batch import Answers, Device, Targets, to_tensors
from mirg_rewards.claims import Box, Claim, Point
from mirg_rewards.parsing import GRAMMARS, Grammar, as_grammar
from mirg_rewards.parsing.responses import parse_batch
from mirg_rewards.scorer import Scorer, Scores
from mirg_rewards.targets import Target

CallableKind = Literal["reward", "scorer", "trl", "ms_swift", "verl", "easyr1", "easyr1_sequential", "sample"]
"""The calling convention of a subject."""

TargetColumns = str | Callable[[Target], Mapping[str, Any]]
"""The dataset columns of a target: the name of the column with `Target.to_json`, or a function to all columns."""

_PARAMETERS: dict[str, CallableKind] = {
    "answers": "reward",
    "completions": "trl",
    "solution_str": "verl",
    "reward_inputs": "easyr1",
    "reward_input": "easyr1_sequential",
    "completion": "sample",
}


_GIVEN = frozenset(
    ("prompts", "completions", "completion_ids", "messages", "trainer_state", "log_extra", "log_metric", "environments")
)
"""Parameters that TRL and ms-swift fill by themselves; any other one is a column of the dataset."""

LEFT_OUT = float("nan")
"""The reward of a row for which a function of TRL's kind returns None, which TRL leaves out; known by identity."""

_IN_BATCHES = ("reward", "scorer", "trl", "ms_swift", "easyr1")


class OutputError(ValueError):
    """An output that is not one number for each row."""


class ColumnsError(ValueError):
    """A target that the caller's function of columns cannot turn into columns."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Something that judges completions, of one of the kinds that `judge` lists; itself texts and targets to numbers."""

    subject: Any
    kind: CallableKind
    grammar: Grammar
    columns: TargetColumns = "target"
    device: Device = "cpu"
    messages: bool = False

    @property
    def name(self) -> str:
        """The name or repr of the subject, or of a scorer's reward."""
        of = self.subject.reward if self.kind == "scorer" else self.subject
        return str(getattr(of, "__name__", None) or repr(of))[:80]

    def __call__(self, texts: Sequence[str], targets: Sequence[Target]) -> list[float]:
        """The reward of each text; None counts as NaN, and of TRL's kind as LEFT_OUT.

        Raises OutputError unless there is one number for each row, and whatever the subject raises.
        """
        output = self.call(self.arguments(texts, targets))
        if self.kind == "scorer":
            output = [score.total if isinstance(score, Scores) else score for score in output]
        numbers = _unpacked(output[0]) if self.kind in _IN_BATCHES else output
        none = LEFT_OUT if self.kind == "trl" else None
        earned = [none if number is None and none is not None else _number(number) for number in numbers]
        if len(earned) != len(texts):
            raise OutputError(f"{len(earned)} numbers for {len(texts)} rows: {_shown(output[0])}")
        return earned

    def arguments(
        self, texts: Sequence[str], targets: Sequence[Target]
    ) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """The arguments of each call that scores these rows: one call for all of them, or one for each."""
        texts, targets = list(texts), list(targets)
        if self.kind == "scorer":
            return [((texts, targets), {})]
        if self.kind == "reward":
            return [(self.packed(texts, targets), {})]
        rows = [self._columns_of(target) for target in targets]
        if self.kind in ("trl", "ms_swift"):
            return [self._batch_arguments(texts, rows)]
        pairs = list(zip(texts, rows, strict=True))
        if self.kind == "verl":
            rest = {"data_source": "mirg", "extra_info": {}}
            return [((), {**rest, "solution_str": text, **row}) for text, row in pairs]
        if self.kind == "sample":
            in_order = isinstance(self.columns, str)
            return [((text, *row.values()), {}) if in_order else ((text,), row) for text, row in pairs]
        inputs = [{"response": text, "response_length": len(text), **row} for text, row in pairs]
        return [((inputs,), {})] if self.kind == "easyr1" else [((row,), {}) for row in inputs]

    def _batch_arguments(self, texts: list[str], rows: list[dict[str, Any]]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments that TRL and ms-swift pass for a batch: columns as lists beside the completions."""
        names = rows[0] if rows else self._column_names()
        columns = {name: [row[name] for row in rows] for name in names}
        chats = [[{"role": "assistant", "content": text}] for text in texts]
        if self.kind == "ms_swift":
            # The whole conversation; the completion is its last turn.
            messages = [[{"role": "user", "content": ""}, *chat] for chat in chats]
            return (texts,), {"messages": messages, "trainer_state": None, **columns}
        prompts, ids = [""] * len(texts), [[0]] * len(texts)
        completions = chats if self.messages else texts
        return (), {"prompts": prompts, "completions": completions, "completion_ids": ids, **columns}

    def call(self, calls: Sequence[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[Any]:
        """Call the subject with each set of arguments and return its outputs; what it gives to await is awaited."""
        with torch.no_grad():
            return _awaited([self.subject(*positional, **named) for positional, named in calls])

    def packed(self, texts: Sequence[str], targets: Sequence[Target]) -> tuple[Answers, Targets]:
        """Texts read by the grammar, and their targets, as tensors."""
        sizes, seen_sizes = [target.sizes for target in targets], [target.seen_sizes for target in targets]
        parsed = parse_batch(texts, self.grammar, sizes, seen_sizes)
        return to_tensors(parsed.claims, parsed.defects, parsed.unplaced, parsed, targets, self.device, texts=texts)

    def pickled(self) -> Judge:
        """The judge with its subject pickled and read back. Raises whatever pickling does."""
        return replace(self, subject=pickle.loads(pickle.dumps(self.subject)))  # noqa: S301 - what was dumped right here

    def on(self, device: Device) -> Judge:
        """The judge on `device`. Raises ValueError for a kind that has no device."""
        if self.kind == "scorer":
            return replace(self, subject=replace(self.subject, device=device))
        if self.kind == "reward":
            return replace(self, device=device)
        raise ValueError(f"device is for rewards and scorers, got it with a function of kind {self.kind!r}")

    def _column_names(self) -> list[str]:
        """The names of the columns where there is no row to take them from."""
        if isinstance(self.columns, str):
            return [self.columns]
        try:
            return list(self._columns_of(_ANY_TARGET))
        except ColumnsError:
            return own_columns(self.subject)

    def _columns_of(self, target: Target) -> dict[str, Any]:
        if callable(self.columns):
            try:
                return dict(self.columns(target))
            except Exception as error:
                raise ColumnsError(
                    f"columns raised {type(error).__name__}: {error} for the target {target.to_json()}; "
                    "let it describe every target, or pass targets that it can describe"
                ) from error
        has_its_name = self.kind in ("verl", "easyr1", "easyr1_sequential")
        return {"ground_truth" if has_its_name else self.columns: target.to_json()}


@dataclass(frozen=True, slots=True)
class JudgeReward:
    """A trainer's function as a reward: it gets the texts and the targets of the batch.

    >>> from mirg_rewards import Parsed, pack
    >>> def is_short(completion, target):
    ...     return float(len(completion) < 10)
    >>> JudgeReward(judge(is_short))(*pack([Parsed()], [Target((), (None,))], texts=["a dog"]))
    tensor([1.])
    """

    of: Judge

    @property
    def __name__(self) -> str:
        return self.of.name

    def __call__(self, answers: Answers, targets: Targets) -> Tensor:
        """The reward of each completion, float32."""
        return torch.tensor(self.of(answers.texts, targets.rows), dtype=torch.float32, device=answers.defects.device)


_ANY_TARGET = Target((Claim(1, Box(0.25, 0.25, 0.75, 0.75), Point(0.5, 0.5), "dog"),), ((560, 420),))


def judge(
    subject: Any,
    *,
    kind: CallableKind | None = None,
    grammar: Grammar | str | None = None,
    columns: TargetColumns | None = None,
    messages: bool = False,
) -> Judge:
    """A reward, a scorer or a trainer's reward function as one callable from texts and targets to numbers.

    | kind | is called as | known by |
    | --- | --- | --- |
    | `scorer` | `scorer(texts, targets)` | being a `Scorer` |
    | `reward` | `reward(answers, targets)`, of texts read by `grammar` ("mirg" unless told) | the parameter `answers` |
    | `trl` | `function(completions=..., target=[...], ...)`, numbers back | the parameter `completions` |
    | `ms_swift` | `function(completions, target=[...], messages=[...], ...)` | both `completions` and `messages` |
    | `verl` | `function(data_source=..., solution_str=..., ground_truth=..., extra_info=...)` | `solution_str` |
    | `easyr1` | `function([{"response": ..., "ground_truth": ...}, ...])`, dicts with "overall" back | `reward_inputs` |
    | `easyr1_sequential` | `function({"response": ..., "ground_truth": ...})`, one such dict back | `reward_input` |
    | `sample` | `function(completion, target)`, one number back | the parameter `completion` |

    The truth is handed over as `Target.to_json()`, to TRL and ms-swift in the column that `columns` names: unless told, the
    one column that the function requires, else "target". As a function from target to mapping, `columns` gives all the
    columns of a row instead, or the keyword arguments for one. An `async` function is awaited. With `messages`, TRL's
    completions are lists of one chat message; ms-swift hands over texts, and conversations beside them.

    Raises TypeError for a callable that none of these, or several, could be, unless `kind` says which, and for a function
    that requires several columns, unless `columns` gives them; ValueError for `messages` with another kind than TRL's.

    >>> from mirg_rewards import Target
    >>> def is_short(completion, target):
    ...     return float(len(completion) < 10)
    >>> judge(is_short)(["a dog", "a dog and a cat"], [Target((), (None,))] * 2)
    [1.0, 0.0]
    >>> judge(len)
    Traceback (most recent call last):
    TypeError: how is <built-in function len> called? Its parameters (obj) do not say; \
pass kind="reward", "scorer", "trl", "ms_swift", "verl", "easyr1", "easyr1_sequential" or "sample"
    """
    if kind is not None and kind not in get_args(CallableKind):
        raise ValueError(f"kind must be one of {', '.join(get_args(CallableKind))}, got {kind!r}")
    if not callable(subject):
        raise TypeError(f"what is to judge must be callable, got {subject!r}")
    kind = kind or _kind_of(subject)
    if kind == "scorer" and not isinstance(subject, Scorer):
        raise TypeError(f'kind="scorer" is for a Scorer, got {subject!r}')
    if messages and kind != "trl":
        raise ValueError(f"messages is for functions that TRL calls, got it with one of kind {kind!r}")
    if grammar is None:
        grammar = subject.grammar if isinstance(subject, Scorer) else GRAMMARS["mirg"]
    return Judge(
        subject,
        kind,
        as_grammar(grammar),
        _default_column(subject, kind) if columns is None else columns,
        messages=messages,
    )


def own_columns(subject: Any) -> list[str]:
    """The columns of the dataset that a function for TRL or ms-swift requires, by the names of its parameters.

    >>> def my_reward(completions, solution, log_metric=None, **columns): ...
    >>> own_columns(my_reward)
    ['solution']
    """
    try:
        parameters = inspect.signature(subject).parameters.values()
    except (TypeError, ValueError):  # some built-in callables have no signature
        return []
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    named = [one for one in parameters if one.kind in by_name and one.name not in _GIVEN]
    return [one.name for one in named if one.default is one.empty] or [one.name for one in named if one.default is None]


def _default_column(subject: Any, kind: CallableKind) -> str:
    names = own_columns(subject) if kind in ("trl", "ms_swift") else []
    if not names:
        return "target"
    if len(names) > 1:
        title = getattr(subject, "__name__", None) or repr(subject)
        raise TypeError(
            f"{title} takes the columns {', '.join(names)}: pass columns=function, which takes a Target and returns "
            f"{{{', '.join(f'{name!r}: ...' for name in names)}}} (--columns FILE.py:FUNCTION on the command line)"
        )
    return names[0]


def _awaited(outputs: list[Any]) -> list[Any]:
    if not any(map(inspect.isawaitable, outputs)):
        return outputs

    async def run() -> list[Any]:
        return [await output if inspect.isawaitable(output) else output for output in outputs]

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run())
    with ThreadPoolExecutor(1) as pool:  # a notebook has a loop of its own in this thread
        return pool.submit(asyncio.run, run()).result()


def _kind_of(subject: Callable[..., Any]) -> CallableKind:
    if isinstance(subject, Scorer):
        return "scorer"
    try:
        parameters = list(inspect.signature(subject).parameters)
    except (TypeError, ValueError):  # some built-in callables have no signature
        parameters = []
    kinds = {_PARAMETERS[name] for name in parameters if name in _PARAMETERS}
    if {"completions", "messages"} <= set(parameters) and kinds == {"trl"}:
        return "ms_swift"
    if len(kinds) != 1:
        *others, last = (f'"{kind}"' for kind in get_args(CallableKind))
        raise TypeError(
            f"how is {subject!r} called? Its parameters ({', '.join(parameters)}) do not say; "
            f"pass kind={', '.join(others)} or {last}"
        )
    return kinds.pop()


def _unpacked(output: Any) -> list[Any]:
    if isinstance(output, Tensor):
        return output.detach().flatten().tolist()
    if isinstance(output, str | Mapping) or not hasattr(output, "__iter__"):
        raise OutputError(_shown(output))
    return list(output)


def _number(output: Any) -> float:
    if isinstance(output, Mapping):
        output = output.get("score", output.get("overall"))
    if output is None:
        return float("nan")
    if isinstance(output, Real):
        return float(output)
    if isinstance(output, Tensor) and output.numel() == 1:
        return float(output)
    raise OutputError(_shown(output))


def _shown(output: Any) -> str:
    if isinstance(output, Tensor):
        return f"a tensor {output.dtype} {list(output.shape)}".replace("torch.", "")
    return f"{type(output).__name__} {output!r:.80}"


def output_fault(kind: CallableKind, output: Sequence[Any], rows: int, device: Device = "cpu") -> str | None:
    """The fault of an output of `rows` rows from a subject of this kind; None if it has the right shape.

    >>> output_fault("reward", [torch.zeros(3)], 2), output_fault("trl", [[0.5, 1.0]], 2)
    ('a tensor float32 [3]', None)
    """
    if kind in ("reward", "scorer"):
        totals = [score.total for score in output] if kind == "scorer" else output
        wanted = torch.device(device).type
        for total in totals:
            if not isinstance(total, Tensor) or total.dtype != torch.float32 or total.shape != (rows,):
                return _shown(total)
            if total.device.type != wanted:
                return f"{_shown(total)} on {total.device}"
        return None
    try:
        if kind in _IN_BATCHES and isinstance(output[0], Tensor) and output[0].shape != (rows,):
            return _shown(output[0])
        numbers = _unpacked(output[0]) if kind in _IN_BATCHES else output
        for number in numbers:
            _number(number)
    except OutputError as error:
        return str(error)
    return None if len(numbers) == rows else f"{len(numbers)} numbers: {_shown(output[0])}"
