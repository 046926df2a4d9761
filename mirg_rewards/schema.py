"""The wire form of a target: what goes in a dataset's column, validated by pydantic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic


class _Wire(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", title="Target")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _drop_none(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: entry for key, entry in value.items() if entry is not None}
        return value


_Number = Annotated[float, pydantic.Field(allow_inf_nan=False)]
_Pixels = Annotated[int, pydantic.Field(gt=0)]


class ClaimRow(_Wire):
    """A claim as a row of JSON."""

    image: int | None = None
    box: tuple[_Number, _Number, _Number, _Number] | None = None
    point: tuple[_Number, _Number] | None = None
    label: str | None = None
    polygon: list[tuple[_Number, _Number]] | None = None


class TargetRow(_Wire):
    """A target as a row of JSON."""

    version: Literal[1] = 1
    claims: list[ClaimRow]
    sizes: list[tuple[_Pixels, _Pixels] | None]
    seen_sizes: list[tuple[_Pixels, _Pixels] | None] | None = None

    def dump(self) -> str:
        """The row as JSON, with no key for what is absent."""
        wire = self.model_dump()
        wire["claims"] = [{key: entry for key, entry in claim.items() if entry is not None} for claim in wire["claims"]]
        if wire["seen_sizes"] is None:
            del wire["seen_sizes"]
        return json.dumps(wire, ensure_ascii=False)


def read_target_row(wire: str | bytes | Mapping[str, Any]) -> TargetRow:
    """Validate a target as a JSON string or a mapping.

    Raises ValueError with a line for each mistake.

    >>> read_target_row('{"claims": [], "sizes": [null]}').sizes
    [None]
    """
    try:
        if isinstance(wire, str | bytes):
            return TargetRow.model_validate_json(wire)
        if isinstance(wire, Mapping):
            return TargetRow.model_validate(dict(wire))
    except pydantic.ValidationError as error:
        raise ValueError(_explain(error)) from None
    raise ValueError(f"a target must be a JSON string or a mapping, got {type(wire).__name__}")


def _explain(error: pydantic.ValidationError) -> str:
    """One line for each mistake: where, what, and what was got."""
    lines = []
    for mistake in error.errors(include_url=False):
        where = ""
        for part in mistake["loc"]:
            where += f"[{part}]" if isinstance(part, int) else f".{part}"
        got = repr(mistake["input"])
        if len(got) > 80:
            got = got[:77] + "..."
        lines.append(f"target{where}: {mistake['msg'].lower()}, got {got}")
    return "; ".join(lines)
