"""Handlers of requests, independent of the server: bytes of a body to bytes of a reply, in any process."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

from mirg_rewards.adapters.columns import finite_floats, measures, read_target
from mirg_rewards.adapters.openrlhf import response_of, wrap
from mirg_rewards.claims import Defect
from mirg_rewards.rewards.contract import NonFiniteRewardError
from mirg_rewards.row_error import RowError
from mirg_rewards.scorer import Scorer, as_text
from mirg_rewards.targets import Target

_Result = TypeVar("_Result")


class Reply(NamedTuple):
    """An HTTP status and a JSON body, with the number of scored rows and the count of each defect among them."""

    status: int
    body: bytes
    rows: int
    defects: dict[str, int]


class RequestError(ValueError):
    """A request that cannot be handled: an HTTP status, a sentence, and the row and column if known."""

    def __init__(self, status: int, message: str, row: int | None = None, column: str | None = None) -> None:
        place = "" if row is None else f"row {row}: " if column is None else f"row {row}, column {column!r}: "
        super().__init__(place + message)
        self.status, self.row, self.column = status, row, column

    def reply(self) -> Reply:
        """Return the reply `{"error": sentence}`, with `row` and `column` if known."""
        known = {"row": self.row, "column": self.column}
        wire = {"error": str(self), **{name: value for name, value in known.items() if value is not None}}
        return Reply(self.status, json.dumps(wire).encode(), 0, {})


def handle(path: str, scorer: Scorer, max_rows: int, body: bytes) -> Reply:
    r"""Handle a body that was sent to a path of `HANDLERS`; an invalid body gets a reply with the error.

    >>> from mirg_rewards import presets
    >>> handle("/score", presets.mirg_rl(), 10, b'{"rows": [{"completion": "Image-2"}]}').body
    b'{"error": "row 0: there is no \'target\'; the row has completion", "row": 0}'
    """
    try:
        try:
            request = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise RequestError(400, f"the body is not JSON: {error}") from None
        if not isinstance(request, dict):
            raise RequestError(422, f"the body must be a JSON object, got {type(request).__name__}")
        return HANDLERS[path](scorer, request, max_rows)
    except RequestError as error:
        return error.reply()


def _score(scorer: Scorer, request: dict[str, Any], max_rows: int) -> Reply:
    (rows,) = _lists(request, ("rows",), max_rows)
    texts, targets = [], []
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise RequestError(422, f"must be an object with completion and target, got {type(row).__name__}", number)
        for column in ("completion", "target"):
            if column not in row:
                raise RequestError(422, f"there is no {column!r}; the row has {', '.join(row) or 'nothing'}", number)
        texts.append(_text(row["completion"], number))
        targets.append(_target(row["target"], scorer, number, "target"))
    scores = _with_row(partial(scorer, texts, targets), "target")
    reward, named = finite_floats(scores.total, "reward"), scores.answers.defects.tolist()
    terms = {name: values.tolist() for name, values in scores.terms.items()}
    beside = {name: _null_for_nan(values.tolist()) for name, values in measures(scorer, scores).items()}
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


def _openrlhf(scorer: Scorer, request: dict[str, Any], max_rows: int) -> Reply:
    queries, prompts, labels = _lists(request, ("query", "prompts", "labels"), max_rows)
    for column, texts in (("query", queries), ("prompts", prompts)):
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise RequestError(422, f"must be text, got {type(text).__name__}", number, column)
    for number, (query, prompt) in enumerate(zip(queries, prompts, strict=True)):
        _checked_row(partial(response_of, query, prompt), number, "query")
    targets = [_target(label, scorer, number, "labels") for number, label in enumerate(labels)]
    result = _with_row(partial(wrap(scorer, first_look=0), queries, prompts, targets), "labels")
    return Reply(200, json.dumps(result).encode(), len(queries), {})


HANDLERS: dict[str, Callable[[Scorer, dict[str, Any], int], Reply]] = {"/score": _score, "/openrlhf": _openrlhf}
"""The handler of each path: our own format, and that of OpenRLHF's client."""


def _null_for_nan(values: list[float]) -> list[float | None]:
    """Replace NaN, which JSON does not have, by None."""
    return [None if math.isnan(value) else value for value in values]


def _lists(request: dict[str, Any], names: tuple[str, ...], max_rows: int) -> list[list[Any]]:
    """Return the lists of a request, which must have the same length."""
    for name in names:
        if not isinstance(request.get(name), list):
            has = ", ".join(request) or "nothing"
            raise RequestError(
                422, f"the body needs {' and '.join(names)}, a list each; {name!r} is none (it has {has})"
            )
        if len(request[name]) > max_rows:
            raise RequestError(
                413, f"{len(request[name])} rows are too many: at most {max_rows} a request (--max-rows)"
            )
    if len({len(request[name]) for name in names}) > 1:
        counts = ", ".join(f"{len(request[name])} {name}" for name in names)
        raise RequestError(422, f"the lists must be of one length, got {counts}")
    return [request[name] for name in names]


def _text(completion: Any, number: int) -> str:
    if not isinstance(completion, str | list):
        message = f"must be text or a list of chat messages, got {type(completion).__name__}"
        raise RequestError(422, message, number, "completion")
    return _checked_row(partial(as_text, completion, number), number, "completion")


def _target(wire: Any, scorer: Scorer, number: int, column: str) -> Target:
    return _checked_row(partial(read_target, wire, scorer, f"row {number}"), number, column)


def _with_row(compute: Callable[[], _Result], column: str) -> _Result:
    """Return the result of `compute`, or raise RequestError with the row whose target lacks data, such as sizes."""
    try:
        return compute()
    except NonFiniteRewardError:  # a fault of the reward, not of the request
        raise
    except RowError as error:
        raise RequestError(422, error.message, error.row, column) from None


def _checked_row(compute: Callable[[], _Result], number: int, column: str) -> _Result:
    try:
        return compute()
    except (ValueError, TypeError) as error:
        raise RequestError(422, str(error).removeprefix(f"row {number}: "), number, column) from None
