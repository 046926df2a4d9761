"""slime: a reward function for `--custom-rm-path`, for one sample or with `--group-rm` for a group. Does not import slime.

slime awaits `function(args, sample)`, or `function(args, samples)` with `--group-rm`, and takes a float, or one for each
sample (slime/rollout/rm_hub/__init__.py). The target is the sample's `label` (`--label-key target`). Every preset is here
by its own name: `--custom-rm-path mirg_rewards.adapters.slime.mirg_rl`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mirg_rewards.adapters.columns import finite_floats, read_target
from mirg_rewards.adapters.first_look import FIRST_LOOK, FirstLook
from mirg_rewards.presets import PRESETS
from mirg_rewards.scorer import Scorer


@dataclass(frozen=True, slots=True)
class SlimeReward:
    """A scorer in the form that slime awaits. It pickles."""

    scorer: Scorer
    first_look: FirstLook = field(repr=False, compare=False)

    async def __call__(self, args: Any, sample: Any, **_: Any) -> float | list[float]:
        """Return one float, or one per sample for a list."""
        del args
        return self.rewards(sample) if isinstance(sample, Sequence) else self.rewards([sample])[0]

    def rewards(self, samples: Sequence[Any]) -> list[float]:
        """Score samples. Raises ValueError that names the sample whose label is not a target."""
        targets = [
            read_target(sample.label, self.scorer, f"sample {sample.index}, the column --label-key")
            for sample in samples
        ]
        scores = self.scorer([sample.response or "" for sample in samples], targets)
        self.first_look(scores)
        return finite_floats(scores.total, "total")


def wrap(scorer: Scorer, *, first_look: int = FIRST_LOOK) -> SlimeReward:
    """Wrap `scorer` as slime's reward function, for a name in your module that `--custom-rm-path` gives.

    slime hands over no image sizes, so a grammar of pixels needs them in the target.

    After `first_look` answers their diagnosis is printed once on stderr; 0 turns it off.

    >>> import asyncio
    >>> from types import SimpleNamespace
    >>> from mirg_rewards import Claim, Target, presets
    >>> said = '<think></think><answer>[{"image": 2}]</answer>'
    >>> sample = SimpleNamespace(index=0, response=said, label=Target((Claim(2),), sizes=(None, None)).to_json())
    >>> asyncio.run(wrap(presets.mirg_rl())(None, sample))
    1.0
    """
    return SlimeReward(scorer, FirstLook(scorer, first_look))


def __getattr__(name: str) -> Callable[..., Any]:
    """Return a preset by name, as a reward function."""
    if name not in PRESETS:
        raise AttributeError(f"{__name__} has no {name!r}; it has wrap and the presets {', '.join(PRESETS)}")
    return wrap(PRESETS[name]())
