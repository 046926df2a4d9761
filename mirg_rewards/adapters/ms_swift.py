"""ms-swift: reward classes to register in `orms` from a plugin file. Does not import ms-swift.

ms-swift makes a reward from its class, calls it with the completions of a batch and with every column by keyword, and
takes a float a row (ms-swift 4.6, swift/rl_core/grpo_algorithm.py). A plugin file is three lines:

    from swift.rewards import orms
    from mirg_rewards import presets
    from mirg_rewards.adapters import ms_swift
    orms["mirg"] = ms_swift.wrap(presets.mirg_rl())

for `swift rlhf --rlhf_type grpo --external_plugins plugin.py --reward_funcs mirg`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from mirg_rewards.adapters.columns import (
    checked_scorer,
    column_of,
    finite_floats,
    image_sizes,
    prompt_with_placeholders,
    read_target,
    scored,
)
from mirg_rewards.adapters.first_look import FIRST_LOOK, FirstLook
from mirg_rewards.claims import Size
from mirg_rewards.coordinates import PIXELS, UNIT
from mirg_rewards.rewards import Weighted
from mirg_rewards.scorer import Scorer, as_text
from mirg_rewards.targets import Target, target_from_boxes

OBJECTS = "objects"
"""The column in which ms-swift's own grounding datasets hold boxes: `ref`, `bbox`, `bbox_type`, `image_id` from 0."""


class SwiftReward:
    """A reward that ms-swift constructs and calls. `wrap` returns subclasses, logged under their class name."""

    scorer: ClassVar[Scorer]
    column: ClassVar[str]
    term: ClassVar[str | None]
    first_look: ClassVar[FirstLook]

    def __init__(self, args: Any = None, **_: Any) -> None:
        self.args = args

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float]:
        """Return one float per completion. A row without a target raises: ms-swift would count it as 0."""
        wires = column_of(columns, self.column, len(completions))
        images = columns.get("images") or [None] * len(completions)
        targets = [self._target(row, wire, images[row], columns) for row, wire in enumerate(wires)]
        texts = [as_text([{"content": completion}], row) for row, completion in enumerate(completions)]
        scores = scored(self.scorer, texts, targets, lambda row: f"row {row}, column {self.column!r}")
        self.first_look(scores)
        return finite_floats(scores.total if self.term is None else scores.terms[self.term], type(self).__name__)

    def _target(self, row: int, wire: Any, images: Sequence[Any] | None, columns: Mapping[str, Any]) -> Target:
        place = f"row {row}, column {self.column!r}"
        if self.column != OBJECTS or wire is None:
            return read_target(wire, self.scorer, place, image_sizes(images or None))
        sizes = columns["sizes"][row] if columns.get("sizes") else image_sizes(images or None)
        if sizes is None:
            raise ValueError(
                f"{place}: the row has neither a column 'images' nor 'sizes', so its images are not known; "
                "add sizes, one [width, height] in pixels for each image"
            )
        try:
            target = target_from_objects(wire, sizes)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{place}: {error}") from None
        return read_target(target, self.scorer, place)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return _made, (self.scorer, self.column, self.term, type(self).__name__, self.first_look, self.args)


def wrap(
    scorer: Scorer, *, column: str = "target", name: str = "mirg", first_look: int = FIRST_LOOK
) -> type[SwiftReward]:
    """Wrap `scorer` as a reward class for `orms`; `column` holds the targets, as `Target.to_json` writes them.

    With `column="objects"` the boxes of ms-swift's own form are the truth, as `target_from_objects` takes them; the sizes
    of the images, which boxes in pixels need, are then a column `sizes` of (width, height) for each image.

    What the model wrote never raises; a missing column, a row without a target or a bad one raises ValueError that names
    row and column.

    After `first_look` answers their diagnosis is printed once on stderr; 0 turns it off.

    >>> from mirg_rewards import Claim, Target, presets
    >>> reward = wrap(presets.mirg_rl())(args=None)
    >>> reward(['<think></think><answer>[{"image": 2}]</answer>'], target=[Target((Claim(2),), (None, None)).to_json()])
    [1.0]
    """
    return _subclass(scorer, column, None, name, FirstLook(scorer, first_look))


def wrap_terms(
    scorer: Scorer, *, column: str = "target", name: str = "mirg", first_look: int = FIRST_LOOK
) -> dict[str, type[SwiftReward]]:
    """Wrap each term of `scorer` as a reward class, for `orms.update(...)`, `--reward_funcs` and `--reward_weights`.

    >>> from mirg_rewards import presets
    >>> list(wrap_terms(presets.mirg_rl()))
    ['mirg_format', 'mirg_image', 'mirg_object']
    """
    scorer = checked_scorer(scorer)
    if not isinstance(scorer.reward, Weighted):
        raise TypeError(f"wrap_terms needs a scorer whose reward is a Weighted, got {scorer.reward!r}; wrap takes any")
    # Each class scores the same answers; the first one looks at them.
    looks = [FirstLook(scorer, 0 if number else first_look) for number in range(len(scorer.reward.weights))]
    return {
        f"{name}_{term}": _subclass(scorer, column, term, f"{name}_{term}", look)
        for term, look in zip(scorer.reward.weights, looks, strict=True)
    }


def training_row(query: str, images: Sequence[str | Path], target: Target) -> dict[str, Any]:
    """Build a row of ms-swift's dataset, for a JSONL file; `images` are paths.

    >>> from mirg_rewards import Claim
    >>> row = training_row("Find the dog.", ["a.png", "b.png"], Target((Claim(2),), sizes=[None, None]))
    >>> row["messages"], row["images"]
    ([{'role': 'user', 'content': 'Image-1:<image>Image-2:<image>Find the dog.'}], ['a.png', 'b.png'])
    """
    if len(images) != len(target.sizes):
        raise ValueError(f"images must be as many as the target's sizes ({len(target.sizes)}), got {len(images)}")
    return {
        "messages": [{"role": "user", "content": prompt_with_placeholders(query, len(images))}],
        "images": [str(image) for image in images],
        "target": target.to_json(),
    }


def target_from_objects(objects: Mapping[str, Any], sizes: Sequence[Size | None]) -> Target:
    """Build the target from the `objects` column of an ms-swift row whose images have these `sizes`.

    Boxes are in pixels, or with a `bbox_type` of "norm1" in fractions; `image_id` counts from 0 and is 0 where it is left
    out; `ref` are labels, where there is one a box.

    >>> target_from_objects({"bbox": [[0, 0, 320, 240]], "image_id": [1]}, [(800, 600), (640, 480)]).claims[0].image
    2
    """
    boxes = objects["bbox"]
    kind = objects.get("bbox_type") or "real"
    if kind not in ("real", "norm1"):
        raise ValueError(f'bbox_type must be "real" or "norm1", got {kind!r}')
    numbers = [int(number) + 1 for number in objects.get("image_id") or ()]
    numbers += [1] * (len(boxes) - len(numbers))
    labels = objects.get("ref") or ()
    if kind == "real" and any(size is None for number in numbers for size in sizes[number - 1 : number]):
        raise ValueError(
            f"boxes in pixels need the size of every image, got {list(sizes)}; add a column 'sizes', one [width, height] in "
            'pixels for each image, or boxes in fractions with bbox_type "norm1"'
        )
    return target_from_boxes(
        boxes,
        numbers,
        [size and (int(size[0]), int(size[1])) for size in sizes],
        UNIT if kind == "norm1" else PIXELS,
        labels if len(labels) == len(boxes) else None,
    )


def _subclass(scorer: Scorer, column: str, term: str | None, name: str, look: FirstLook) -> type[SwiftReward]:
    values = {"scorer": scorer, "column": column, "term": term, "first_look": look, "__doc__": SwiftReward.__doc__}
    return type(name, (SwiftReward,), values)


def _made(scorer: Scorer, column: str, term: str | None, name: str, look: FirstLook, args: Any) -> SwiftReward:
    return _subclass(scorer, column, term, name, look)(args)
