"""What a request gets for its body, with no server around: bytes to bytes, in whichever process has time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

from mirg_rewards.adapters.columns import finite_floats, measures, read_target
from mirg_rewards.adapters.openrlhf import OpenRLHFReward, response_of
from mirg_rewards.claims import Defect
from mirg_rewards.row_error import RowError
from mirg_rewards.scorer import Scorer, as_text
from mirg_rewards.targets import Target

_Found = TypeVar("_Found")


class Reply(NamedTuple):
    """A status of HTTP and a body of JSON; how many rows were scored, and how often each defect was among them."""

    status: int
    body: bytes
    rows: int
    defects: dict[str, int]


class Refused(ValueError):  # noqa: N818 - a reply, not a failure
    """Why a request is not answered: a status of HTTP, a sentence, and the row and column where there is one."""

    def __init__(self, status: int, message: str, row: int | None = None, column: str | None = None) -> None:
        place = "" if row is None else f"row {row}: " if column is None else f"row {row}, column {column!r}: "
        super().__init__(place + message)
        self.status, self.row, self.column = status, row, column

    def reply(self) -> Reply:
        """`{"error": sentence}`, with `row` and `column` where it knows them."""
        known = {"row": self.row, "column": self.column}
        wire = {"error": str(self), **{name: value for name, value in known.items() if value is not None}}
        return Reply(self.status, json.dumps(wire).encode(), 0, {})


def answer(path: str, scorer: Scorer, most_rows: int, body: bytes) -> Reply:
    r"""The reply to a body that was sent to a path of `FORMS`. What is wrong with a body is its reply.

    >>> from mirg_rewards import presets
    >>> answer("/score", presets.mirg_rl(), 10, b'{"rows": [{"completion": "Image-2"}]}').body
    b'{"error": "row 0: there is no \'target\'; the row has completion", "row": 0}'
    """
    try:
        try:
            request = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Refused(400, f"the body is not JSON: {error}") from None
        if not isinstance(request, dict):
            raise Refused(422, f"the body must be a JSON object, got {type(request).__name__}")
        return FORMS[path](scorer, request, most_rows)
    except Refused as refused:
        return refused.reply()


def _score(scorer: Scorer, request: dict[str, Any], most_rows: int) -> Reply:
    (rows,) = _lists(request, ("rows",), most_rows)
    texts, targets = [], []
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise Refused(422, f"must be an object with completion and target, got {type(row).__name__}", number)
        for column in ("completion", "target"):
            if column not in row:
                raise Refused(422, f"there is no {column!r}; the row has {', '.join(row) or 'nothing'}", number)
        texts.append(_text(row["completion"], number))
        targets.append(_target(row["target"], scorer, number, "target"))
    scores = _judged(partial(scorer, texts, targets), "target")
    reward, named = finite_floats(scores.total, "reward"), scores.answers.defects.tolist()
    terms = {name: values.tolist() for name, values in scores.terms.items()}
    beside = {name: values.tolist() for name, values in measures(scorer, scores).items()}
    defects = {value: [str(defect.name) for defect in Defect(value)] for value in set(named)}
    wire = [
        {
            "reward": reward[number],
            "terms": {name: values[number] for name, values in terms.items()},
            "measures": {name: values[number] for name, values in beside.items()},
            "defects": defects[value],
        }
        for number, value in enumerate(named)
    ]
    counts = Counter(name for value in named for name in defects[value])
    return Reply(200, json.dumps({"rows": wire}).encode(), len(rows), dict(counts))


def _openrlhf(scorer: Scorer, request: dict[str, Any], most_rows: int) -> Reply:
    queries, prompts, labels = _lists(request, ("query", "prompts", "labels"), most_rows)
    for column, texts in (("query", queries), ("prompts", prompts)):
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise Refused(422, f"must be text, got {type(text).__name__}", number, column)
    for number, (query, prompt) in enumerate(zip(queries, prompts, strict=True)):
        _checked(partial(response_of, query, prompt), number, "query")
    targets = [_target(label, scorer, number, "labels") for number, label in enumerate(labels)]
    found = _judged(partial(OpenRLHFReward(scorer), queries, prompts, targets), "labels")
    return Reply(200, json.dumps(found).encode(), len(queries), {})


FORMS: dict[str, Callable[[Scorer, dict[str, Any], int], Reply]] = {"/score": _score, "/openrlhf": _openrlhf}
"""By path: our own form, and the one that OpenRLHF's client sends and expects."""


def _lists(request: dict[str, Any], names: tuple[str, ...], most_rows: int) -> list[list[Any]]:
    """The lists of a request, all of one length."""
    for name in names:
        if not isinstance(request.get(name), list):
            has = ", ".join(request) or "nothing"
            raise Refused(422, f"the body needs {' and '.join(names)}, a list each; {name!r} is none (it has {has})")
        if len(request[name]) > most_rows:
            raise Refused(413, f"{len(request[name])} rows are too many: at most {most_rows} a request (--max-rows)")
    if len({len(request[name]) for name in names}) > 1:
        counts = ", ".join(f"{len(request[name])} {name}" for name in names)
        raise Refused(422, f"the lists must be of one length, got {counts}")
    return [request[name] for name in names]


def _text(completion: Any, number: int) -> str:
    if not isinstance(completion, str | list):
        message = f"must be text or a list of chat messages, got {type(completion).__name__}"
        raise Refused(422, message, number, "completion")
    return _checked(partial(as_text, completion, number), number, "completion")


def _target(wire: Any, scorer: Scorer, number: int, column: str) -> Target:
    return _checked(partial(read_target, wire, scorer, f"row {number}"), number, column)


def _judged(find: Callable[[], _Found], column: str) -> _Found:
    """What is found, or which target lacks what the reward needs, such as sizes."""
    try:
        return find()
    except RowError as error:
        raise Refused(422, error.message, error.row, column) from None


def _checked(find: Callable[[], _Found], number: int, column: str) -> _Found:
    try:
        return find()
    except (ValueError, TypeError) as error:
        raise Refused(422, str(error).removeprefix(f"row {number}: "), number, column) from None
