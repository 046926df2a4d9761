"""verl: `compute_score` for its reward managers, and parquet files to train on. Does not import verl.

verl calls the function with one answer at a time, in threads of its reward workers, and wants a number or a mapping with
a `score`, whose other entries it logs (verl 0.9.1, verl/experimental/reward_loop). In its configuration:

    reward.custom_reward_function.path=pkg://mirg_rewards.adapters.verl
    reward.custom_reward_function.name=compute_score
    +reward.custom_reward_function.reward_kwargs.preset=mirg_rl
    +reward.custom_reward_function.reward_kwargs.grammar=qwen3_json
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mirg_rewards.adapters.columns import prompt_with_placeholders, read_target, score_rows
from mirg_rewards.adapters.first_look import FIRST_LOOK, FirstLook, shared_look
from mirg_rewards.adapters.settings import scorer_from_settings
from mirg_rewards.data.rows import replacing
from mirg_rewards.scorer import Scorer
from mirg_rewards.targets import Target

Info = Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class VerlReward:
    """A scorer in the form that verl calls, one completion at a time. It pickles and does not mutate its arguments."""

    scorer: Scorer
    first_look: FirstLook = field(repr=False, compare=False)

    def __call__(
        self,
        data_source: str | None = None,
        solution_str: str | None = None,
        ground_truth: Any = None,
        extra_info: Info = None,
        **_: Any,
    ) -> dict[str, float]:
        """Return `score`, `acc` (IoU of 0.5 or more), the terms and other measures: the same keys for every row."""
        return self.batch([data_source], [solution_str], [ground_truth], [extra_info])[0]

    def batch(
        self,
        data_sources: Sequence[str | None],
        solution_strs: Sequence[str | None],
        ground_truths: Sequence[Any],
        extra_infos: Sequence[Info] | None = None,
    ) -> list[dict[str, float]]:
        """Score lists of each argument, one mapping per row."""
        infos = [None] * len(ground_truths) if extra_infos is None else extra_infos
        targets = [
            read_target(wire, self.scorer, _place(source, info))
            for wire, source, info in zip(ground_truths, data_sources, infos, strict=True)
        ]
        return score_rows(
            self.scorer, ["" if text is None else text for text in solution_strs], targets, self.first_look
        )


def wrap(scorer: Scorer, *, first_look: int = FIRST_LOOK) -> VerlReward:
    """Wrap `scorer` as verl's `compute_score`, for your reward file; `reward_model.ground_truth` holds the target.

    A missing or bad target raises ValueError that names data source, row and column: verl stops at the first such row.

    After `first_look` answers their diagnosis is printed once on stderr; 0 turns it off.

    >>> from mirg_rewards import Claim, Target, presets
    >>> compute_score = wrap(presets.mirg_rl())
    >>> target = Target((Claim(2),), sizes=(None, None)).to_json()
    >>> compute_score("mirg", '<think></think><answer>[{"image": 2}]</answer>', target, {})["score"]
    1.0
    """
    return VerlReward(scorer, FirstLook(scorer, first_look))


def compute_score(
    data_source: str | None = None,
    solution_str: str | None = None,
    ground_truth: Any = None,
    extra_info: Info = None,
    *,
    reward_router_address: Any = None,
    reward_model_tokenizer: Any = None,
    first_look: int = FIRST_LOOK,
    **settings: Any,
) -> dict[str, float]:
    """Score one completion by the `settings` of `reward_kwargs`.

    They are those of `scorer_from_settings`, and the `first_look` of `wrap`.

    >>> from mirg_rewards import Claim, Target
    >>> target = Target((Claim(2),), sizes=(None, None)).to_json()
    >>> earned = compute_score("mirg", "Image-2", target, preset="mirg_rl", weights=[0.0, 0.5, 0.5])
    >>> sorted(earned)
    ['acc', 'clean', 'format', 'image', 'image_accuracy', 'iou', 'object', 'parsed', 'score']
    """
    del reward_router_address, reward_model_tokenizer  # given where a reward model runs beside
    return _from_settings(first_look, settings)(data_source, solution_str, ground_truth, extra_info)


def compute_score_batch(
    data_sources: Sequence[str | None],
    solution_strs: Sequence[str | None],
    ground_truths: Sequence[Any],
    extra_infos: Sequence[Info] | None = None,
    *,
    first_look: int = FIRST_LOOK,
    **settings: Any,
) -> list[dict[str, float]]:
    """Score a batch, for the `batch` reward manager of verl before 0.9.

    >>> from mirg_rewards import Claim, Target
    >>> target = Target((Claim(1),), sizes=(None,)).to_json()
    >>> [row["score"] for row in compute_score_batch(["mirg"] * 2, ["", None], [target] * 2, [{}, {}])]
    [0.0, 0.0]
    """
    return _from_settings(first_look, settings).batch(data_sources, solution_strs, ground_truths, extra_infos)


def training_row(
    query: str, images: Sequence[str | Path | bytes], target: Target, *, index: int = 0, data_source: str = "mirg"
) -> dict[str, Any]:
    """Build a row of verl's dataset; `images` are paths, or bytes to embed in the parquet file.

    `index` is what a message about the row names it by.

    >>> from mirg_rewards import Claim
    >>> row = training_row("Find the dog.", ["a.png", "b.png"], Target((Claim(2),), sizes=[None, None]))
    >>> row["prompt"]
    [{'role': 'user', 'content': 'Image-1:<image>Image-2:<image>Find the dog.'}]
    """
    if len(images) != len(target.sizes):
        raise ValueError(f"images must be as many as the target's sizes ({len(target.sizes)}), got {len(images)}")
    return {
        "data_source": data_source,
        "prompt": [{"role": "user", "content": prompt_with_placeholders(query, len(images))}],
        "images": [{"bytes": image} if isinstance(image, bytes) else str(image) for image in images],
        "reward_model": {"style": "rule", "ground_truth": target.to_json()},
        "extra_info": {"index": index},
    }


def write_parquet(rows: Iterable[Mapping[str, Any]], path: str | Path) -> None:
    """Write rows, as `training_row` makes them, to a parquet file for `data.train_files`. Needs pyarrow."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise ImportError('parquet files need pyarrow: pip install "mirg-rewards[parquet]"') from None
    with replacing(path) as part:
        pa.parquet.write_table(pa.Table.from_pylist(list(rows)), part)


def _from_settings(first_look: int, settings: Mapping[str, Any]) -> VerlReward:
    scorer = scorer_from_settings(**settings)
    return VerlReward(scorer, shared_look(scorer, first_look))


def _place(data_source: str | None, info: Info) -> str:
    index = info.get("index") if isinstance(info, Mapping) else None
    row = "a row" if index is None else f"row {index}"
    return f"{row} of {data_source!r}, column 'reward_model.ground_truth'"
