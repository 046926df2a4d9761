"""Does the image-aware dual reward beat a plain IoU reward? GRPO from one SFT checkpoint a seed, under four rewards.

    python benchmarks/ablation.py                    # three seeds of the smoke preset, two stages at a time
    python benchmarks/ablation.py --preset gpu --processes 1

The arms: `iou` pays the IoU of the first box and looks at no image, as published rewards do; `object` pays the IoU in
the right image; `dual` is presets.mirg_rl; `gated` is presets.mg_thinker; `control` continues SFT for about the time that
the dual arm took. Half of the training scenes, and all of the held-out ones, have another shape at the place of the asked
one in every other image: there the right box in the wrong image is what a reward that looks at no image pays in full.
REMEDIES are further arms, each the dual one with one thing changed that might help where it falls short.

The primary outcome, fixed here before any run: the joint accuracy of sampled answers (temperature 1) to held-out scenes,
the right image and an IoU of at least 0.5. Intervals are Student's over seeds, 95 %.

The output folder gets ablation.md, ablation.json, ablation.png, and a folder for each seed. A run that was stopped goes on
where it was: start it again with the same options.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import math
import multiprocessing
import platform
import re
import shutil
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
import trl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from scipy import stats
from timing import processor

import mirg_rewards
from mirg_rewards import GRAMMARS, Grammar, Parsed, Scorer, Target, Weighted, kernels, presets
from mirg_rewards.adapters import trl as mirg
from mirg_rewards.batch import Answers, Targets
from mirg_rewards.data.jobs import end_with_parent
from mirg_rewards.data.rows import replacing
from mirg_rewards.report.pictures import learning_curves
from mirg_rewards.rewards import (
    Linear,
    Overlap,
    Reward,
    Scheduled,
    difficulty_weights,
    format_reward,
    image_reward,
    object_reward,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import full_pipeline as pipeline

Row = dict[str, Any]
PRIMARY = "joint accuracy"
IMAGE = re.compile(r"Image-[0-9]+")
SEEN = re.compile(r"Image-([0-9]+): ([^.]*)\.")
GRAMMAR = GRAMMARS["mirg"]


def first_box_iou(answers: Answers, targets: Targets) -> torch.Tensor:
    """The IoU of each answer's first box with the target's first, whatever image they are in; without either, 0."""
    firsts = []
    for claims in (answers.claims, targets.claims):
        boxed = claims.has_box.nonzero().flatten()
        at = torch.searchsorted(boxed, claims.offsets)  # how many boxes lie before each row
        has = at[1:] > at[:-1]
        firsts.append((claims.boxes[boxed[at[:-1][has]]], has))
    (said, has_said), (true, has_true) = firsts
    both = has_said & has_true
    said, true = said[both[has_said]], true[both[has_true]]
    iou = torch.zeros(len(both), dtype=torch.float32)
    rows = torch.arange(len(said) + 1)
    iou[both] = kernels.pair_iou(said, rows, true, rows).float()
    return iou


DUAL = presets.mirg_rl(grammar=GRAMMAR)


@dataclass(frozen=True)
class Arm:
    """What tells a run of GRPO from the others: its reward, and settings of GRPOConfig and of its training scenes."""

    name: str
    reward: Reward | Scheduled
    rl: Row = field(default_factory=dict)
    scenes: Row = field(default_factory=dict)
    is_weighted: bool = False  # whether the harder question counts more, by rewards.difficulty_weights


ARMS = {
    "iou": Arm("IoU only, first box", Weighted({"format": (0.1, format_reward), "iou": (0.9, first_box_iou)})),
    "object": Arm("object, image-aware", Weighted({"format": (0.1, format_reward), "object": (0.9, object_reward)})),
    "dual": Arm("dual (`mirg_rl`)", DUAL.reward),
    "gated": Arm("dual, gated (`mg_thinker`)", presets.mg_thinker(grammar=GRAMMAR).reward),
}
IMAGE_FIRST = {
    "format": (0.1, format_reward),
    "image": (Linear(0.7, 0.1), image_reward),
    "object": (Linear(0.2, 0.8), object_reward),
}
REMEDIES = {
    # Within a group all weights are alike: they must not be divided out again.
    "difficulty": Arm("dual, weighed by difficulty", DUAL.reward, rl={"scale_rewards": "none"}, is_weighted=True),
    "schedule": Arm("dual, the image first, the box later", Scheduled(IMAGE_FIRST)),
    "soft": Arm(
        "dual, a softer IoU (its root)",
        Weighted({"format": (0.1, format_reward), "image": (0.3, image_reward), "object": (0.6, Overlap(power=0.5))}),
    ),
    "hard": Arm("dual, hard distractors in every scene", DUAL.reward, scenes={"decoys": 1.0, "near": 1.0}),
    "groups": Arm("dual, groups of 16", DUAL.reward, rl={"num_generations": 16}),
    "hot": Arm("dual, sampled at temperature 1.5", DUAL.reward, rl={"temperature": 1.5}),
}
RL = ARMS | REMEDIES
STAGES = ("sft", *ARMS, "control")
NAMES = {
    "sft": "after SFT",
    **{stage: arm.name for stage, arm in ARMS.items()},
    "control": "SFT continued",
    **{stage: arm.name for stage, arm in REMEDIES.items()},
}
# What each stage starts from or counts by; in the order in which they are run, where several are ready.
AFTER = {"start": None, "sft": "start", "dual": "sft", "control": "dual"} | dict.fromkeys(RL, "sft")
# How many steps of SFT take as long as one of RL. A clock would end the control elsewhere in every run, so the smoke
# preset has a count, from its runs on one core (1.6 to 1.7 s to 0.13 to 0.14 s); without one, the clock it is.
SFT_STEPS_AN_RL_STEP = {"smoke": 13}
OUTCOMES = (PRIMARY, "image accuracy", "mean IoU", "IoU in any image")
INDICATORS = ("format", "boxes", "images", "looked at", "reasoned", "characters")


def outcomes(texts: Sequence[str], targets: Sequence[Target], grammar: Grammar = GRAMMAR) -> dict[str, np.ndarray]:
    """What each answer is worth, on one yardstick for all arms, and what would show that a reward is being cheated."""
    answers, true = Scorer(grammar, object_reward).read(texts, targets)
    iou, right_image = object_reward(answers, true).double().numpy(), image_reward(answers, true).numpy() == 1
    return {
        PRIMARY: (right_image & (iou >= 0.5)).astype(float),
        "image accuracy": right_image.astype(float),
        "mean IoU": iou,
        "IoU in any image": Overlap(any_image=True)(answers, true).double().numpy(),
        "format": format_reward(answers, true).double().numpy(),
        "boxes": np.array(
            [sum(claim.box is not None for claim in reading.claims) for reading in answers.parsed], float
        ),
        "images": np.array([len({claim.image for claim in reading.claims}) for reading in answers.parsed], float),
        "looked at": np.array([len(set(IMAGE.findall(reading.think or ""))) for reading in answers.parsed], float),
        "reasoned": np.array([is_reasoned(*pair) for pair in zip(answers.parsed, targets, strict=True)], float),
        "characters": np.array([len(text) for text in texts], float),
    }


def is_reasoned(answer: Parsed, target: Target) -> bool:
    """Whether the reasoning, as trajectories write it, has seen what is asked for in the images that are answered."""
    asked = {claim.label for claim in target.claims}
    seen = dict(SEEN.findall(answer.think or ""))
    return bool(answer.claims) == bool(asked) and all(
        any(label in seen.get(str(claim.image), "") for label in asked) for claim in answer.claims
    )


@dataclass
class Watched:
    """An arm's reward as TRL calls it; writes what each step's completions are worth, and how long their scoring took."""

    arm: Arm
    group: int
    path: Path
    __name__ = "watched"

    def __call__(self, completions: list[Any], target: list[str], trainer_state: Any, **columns: Any) -> Any:
        reward = self.arm.reward
        if isinstance(reward, Scheduled):
            reward = reward.at(trainer_state.global_step / trainer_state.max_steps)
        began = time.perf_counter()
        wrapped = mirg.wrap(Scorer(GRAMMAR, reward))
        rewards = wrapped(completions=completions, target=target, trainer_state=trainer_state, **columns)
        seconds = time.perf_counter() - began
        texts = [completion[-1]["content"] for completion in completions]
        found = outcomes(texts, [Target.from_json(wire) for wire in target])
        if self.arm.is_weighted:
            ious = torch.from_numpy(found["mean IoU"]).float()
            weights = difficulty_weights(ious, torch.arange(len(ious)) // self.group)
            rewards = [reward * weight for reward, weight in zip(rewards, weights.tolist(), strict=True)]
        line = {"step": trainer_state.global_step, "scoring_seconds": seconds}
        with self.path.open("a") as lines:
            lines.write(json.dumps(line | {name: float(column.mean()) for name, column in found.items()}) + "\n")
        return rewards


@dataclass(frozen=True)
class Settings:
    """What a run was asked for."""

    preset: str
    output_dir: Path
    sft_steps: int | None = None
    rl_steps: int | None = None
    test_rows: int | None = None

    def pipeline_preset(self) -> pipeline.Preset:
        """The pipeline's preset, with the steps that were asked for."""
        preset = pipeline.PRESETS[self.preset]
        for stage, steps in (("sft", self.sft_steps), ("rl", self.rl_steps)):
            if steps is not None:
                preset = replace(preset, **{stage: {**getattr(preset, stage), "max_steps": steps}})
        return preset


def scene_row(preset: pipeline.Preset, seed: int, split: Any, index: int) -> Row:
    """One scene as a row: with decoys in half of all scenes unless the preset has more, and in each of the test."""
    scenes = replace(preset.scenes, decoys=1.0 if split == "test" else preset.scenes.decoys or 0.5)
    return pipeline.scene_row(replace(preset, scenes=scenes), GRAMMAR, seed, split, index)


def report_of(settings: Settings, seed: int, stage: str) -> Path:
    """The file that a stage leaves when it is done."""
    return settings.output_dir / f"seed-{seed}" / stage / "report.json"


def run_stage(settings: Settings, seed: int, stage: str) -> None:
    """One stage of a seed, whose stages before it are done; in a process that `begin` has begun."""
    torch.set_num_threads(1)
    transformers.set_seed(seed)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)
    preset, path = settings.pipeline_preset(), report_of(settings, seed, stage)
    test_rows = settings.test_rows or preset.test_rows
    data = pipeline.Data(
        partial(scene_row, preset, seed), {"test": test_rows, "probe": min(preset.probe_rows, test_rows)}
    )
    asked = argparse.Namespace(model=None, lora=0, seed=seed, output_dir=path.parents[1])
    run = pipeline.Run(asked, preset, GRAMMAR, data, {}, SentBar((seed, stage)))

    def make() -> Row:
        if stage == "start":
            return pipeline.start(run)
        if stage == "sft":
            return pipeline.sft(run)
        if stage == "control":
            dual, sft = (json.loads(report_of(settings, seed, name).read_text()) for name in ("dual", "sft"))
            count = SFT_STEPS_AN_RL_STEP.get(settings.preset)
            steps = pipeline.control_steps({"rl": dual, "sft": sft}) if count is None else count * dual["steps"]
            return pipeline.sft(run, stage=stage, after="sft", steps=steps)
        arm = RL[stage]
        # Of its own are an arm's training scenes, not those that it is tested on.
        changed = replace(preset, rl=preset.rl | arm.rl, scenes=replace(preset.scenes, **arm.scenes))
        trained_on = replace(data, row=partial(scene_row, changed, seed))
        path.parent.mkdir(parents=True, exist_ok=True)
        watched = Watched(arm, changed.rl["num_generations"], path.with_name("curve.jsonl"))
        return pipeline.rl(replace(run, preset=changed, data=trained_on), stage=stage, after="sft", reward=watched)

    done = pipeline.finish(run, stage, make)
    with replacing(path) as part:
        part.write_text(json.dumps(done))


def begin(queue: Any) -> None:
    """What a process does first: it tells its bars to this queue, and ends with its parent."""
    SentBar.queue = queue
    end_with_parent()


class SentBar:
    """The bar of a process, as the process that shows it is told of it: (task, name, total, completed, note)."""

    queue: Any

    def __init__(self, job: tuple[int, str]) -> None:
        self.job, self.tasks = job, 0

    def add_task(self, name: str, *, total: int, completed: int = 0, note: str = "") -> tuple[tuple[int, str], int]:
        self.tasks += 1
        task = self.job, self.tasks
        self.queue.put((task, f"seed {self.job[0]}, {name}", total, completed, note))
        return task

    def update(self, task: Any, *, completed: int | None = None, note: str | None = None) -> None:
        self.queue.put((task, None, None, completed, note))


def run_stages(settings: Settings, seeds: Sequence[int], processes: int) -> None:
    """Every stage of every seed that is not done yet, so many at a time, and the bars of those that run.

    After a stage that fails no other one is begun; those that run are seen to their end.
    """
    jobs = [(seed, stage) for stage in AFTER for seed in seeds]
    waiting = [job for job in jobs if not report_of(settings, *job).is_file()]
    running: dict[Future[None], tuple[int, str]] = {}
    failed: list[BaseException] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    with (
        ProcessPoolExecutor(processes, context, begin, (queue,)) as executor,
        Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True)) as bar,
    ):
        stages = bar.add_task("stages of all seeds", total=len(jobs), completed=len(jobs) - len(waiting), note="")
        tasks: dict[Any, Any] = {}
        while running or (waiting and not failed):
            unfinished = {*waiting, *running.values()}
            ready = [job for job in waiting if (job[0], AFTER[job[1]]) not in unfinished]
            for job in ready[: 0 if failed else processes - len(running)]:
                waiting.remove(job)
                running[executor.submit(run_stage, settings, *job)] = job
            ended = wait(running, timeout=0.2, return_when=FIRST_COMPLETED).done
            while not queue.empty():
                task, name, total, completed, note = queue.get()
                if name is not None:
                    tasks[task] = bar.add_task(name, total=total, completed=completed, note=note)
                else:
                    bar.update(tasks[task], completed=completed, **({} if note is None else {"note": note}))
            for future in ended:
                job = running.pop(future)
                for task in [task for task in tasks if task[0] == job]:
                    bar.remove_task(tasks.pop(task))
                if error := future.exception():
                    error.add_note(f"That was seed {job[0]}, {job[1]}.")
                    failed.append(error)
                    bar.console.print(f"seed {job[0]}, {job[1]}: failed; no other stage is begun", markup=False)
            bar.update(stages, completed=len(jobs) - len(waiting) - len(running) - len(failed))
    if failed:
        raise failed[0]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, and half of its 95 % interval: nothing is known of that from one seed."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return math.fsum(self.values) / len(self.values)

    @property
    def half(self) -> float:
        count = len(self.values)
        return float(stats.t.ppf(0.975, count - 1) * stats.sem(self.values)) if count > 1 else math.nan

    def shown(self, scale: float = 1.0, sign: str = "") -> str:
        """`12.3 ± 4.5`, times `scale`."""
        half = "" if math.isnan(self.half) else f" ± {scale * self.half:.1f}"
        return f"{scale * self.mean:{sign}.1f}{half}"


def answered(folder: Path, decoding: str) -> dict[str, float]:
    """The means of all outcomes over a stage's kept answers; each row counts once, however often it was answered."""
    kept = [json.loads(line) for line in (folder / "answers.jsonl").open()]
    kept = [line for line in kept if line["decoding"] == decoding]
    found = outcomes([line["completion"] for line in kept], [Target.from_json(line["target"]) for line in kept])
    return {name: float(column.mean()) for name, column in found.items()}


def summarize(settings: Settings, seeds: Sequence[int]) -> Row:
    """For each decoding, stage and outcome a value for each seed; and what the stages took."""
    files = {stage: [report_of(settings, seed, stage) for seed in seeds] for stage in NAMES}
    found = {
        decoding: {stage: [answered(path.parent, decoding) for path in paths] for stage, paths in files.items()}
        for decoding in ("sampled", "greedy")
    }
    reports = {stage: [json.loads(path.read_text()) for path in paths] for stage, paths in files.items()}
    took = {
        stage: [{key: report[key] for key in ("steps", "seconds")} for report in runs]
        for stage, runs in reports.items()
    }
    curves = {arm: [steps_of(path.with_name("curve.jsonl")) for path in files[arm]] for arm in RL}
    for arm, runs in curves.items():
        for entry, steps, report in zip(took[arm], runs, reports[arm], strict=True):
            entry["scoring_share"] = sum(step["scoring_seconds"] for step in steps) / entry["seconds"]
            flat = [step["frac_reward_zero_std"] for step in report["curve"] if "frac_reward_zero_std" in step]
            fifth = max(1, len(flat) // 5)
            entry["flat_groups"] = [float(np.mean(flat[:fifth])), float(np.mean(flat[-fifth:]))]
    return {"seeds": list(seeds), "outcomes": found, "took": took, "curves": curves}


def steps_of(path: Path) -> list[Row]:
    """What a run wrote of its steps, the last word on each."""
    steps = {step["step"]: step for step in map(json.loads, path.open())}
    return [steps[number] for number in sorted(steps)]


def report(settings: Settings, summary: Row, command: str) -> str:
    """The tables, as Markdown."""
    preset, seeds = settings.pipeline_preset(), summary["seeds"]
    rows = settings.test_rows or preset.test_rows

    def estimate(decoding: str, stage: str, outcome: str, base: str | None = None) -> Estimate:
        of = summary["outcomes"][decoding]
        ends = [run[outcome] for run in of[stage]]
        return Estimate(tuple(ends if base is None else np.subtract(ends, [run[outcome] for run in of[base]])))

    def percents(decoding: str, stage: str) -> list[str]:
        return [estimate(decoding, stage, name).shown(100) for name in OUTCOMES]

    def table(heads: Sequence[str], line: Callable[[str], Sequence[str]], stages: Sequence[str] = STAGES) -> list[str]:
        return [
            f"| | {' | '.join(heads)} |",
            f"| --- |{' ---: |' * len(heads)}",
            *(f"| {NAMES[stage]} | {' | '.join(line(stage))} |" for stage in stages),
            "",
        ]

    held_out = (
        f"Held out: {rows} scenes a seed, in each of which every other image has another shape at the very place of the "
        f"asked one; sampled: {preset.samples} answers a scene at temperature 1. Percent; ± is half of a 95 % interval over "
        f"{len(seeds)} seeds (Student). The primary outcome is the joint accuracy of sampled answers: right image and IoU of "
        "at least 0.5."
    )
    lines = [
        f"# Ablation of the reward: {settings.preset} preset, seeds {', '.join(map(str, seeds))}",
        "",
        f"`{command}` ({dt.datetime.now(dt.UTC):%Y-%m-%d}; {machine()})",
        "",
        held_out,
        "",
    ]
    for decoding in ("sampled", "greedy"):
        lines += [f"## {decoding.capitalize()} answers", ""]
        lines += table(OUTCOMES, partial(percents, decoding))
    lines += ["## Against IoU only, sampled: differences in points, paired by seed", ""]
    others = [stage for stage in STAGES if stage not in ("sft", "iou")]
    lines += table(
        [*OUTCOMES[:3], f"{PRIMARY}, seed by seed"],
        lambda stage: [
            *(estimate("sampled", stage, name, "iou").shown(100, "+") for name in OUTCOMES[:3]),
            ", ".join(f"{100 * value:+.1f}" for value in estimate("sampled", stage, PRIMARY, "iou").values),
        ],
        others,
    )
    lines += ["## Remedies: the dual reward with one thing changed, sampled", ""]
    lines += table(
        [*OUTCOMES[:3], f"{PRIMARY} against dual, points", "seed by seed"],
        lambda stage: [
            *percents("sampled", stage)[:3],
            estimate("sampled", stage, PRIMARY, "dual").shown(100, "+"),
            ", ".join(f"{100 * value:+.1f}" for value in estimate("sampled", stage, PRIMARY, "dual").values),
        ],
        ["dual", *REMEDIES],
    )
    lines += [
        "## Is a reward being cheated? Sampled answers",
        "",
        "As reasoned: the reasoning says that it sees the asked shape in the image that is then answered.",
        "",
    ]
    lines += table(
        [
            "format, %",
            "boxes an answer",
            "images an answer",
            "images reasoned on",
            "as reasoned, %",
            "characters an answer",
        ],
        lambda stage: [
            estimate("sampled", stage, name).shown(100 if name in ("format", "reasoned") else 1) for name in INDICATORS
        ],
        list(NAMES),
    )
    lines += [
        "## What it took",
        "",
        "A group whose answers all earn the same teaches nothing: their share in the first and in the last fifth of the steps.",
        "",
    ]
    took = summary["took"]

    def effort(stage: str) -> list[str]:
        runs = took[stage]
        steps = ", ".join(str(run["steps"]) for run in runs)
        seconds = f"{np.mean([run['seconds'] / run['steps'] for run in runs]):.2f}"
        if stage not in RL:
            return [steps, seconds, "", ""]
        first, last = np.mean([run["flat_groups"] for run in runs], axis=0)
        scoring = f"{100 * np.mean([run['scoring_share'] for run in runs]):.2f}" if stage in ARMS else ""
        return [steps, seconds, scoring, f"{100 * first:.0f} to {100 * last:.0f}"]

    lines += table(
        ["steps, seed by seed", "seconds a step", "scoring, % of a step", "flat groups, %"], effort, list(NAMES)
    )
    return "\n".join(lines)


def machine() -> str:
    """What the figures were measured on."""
    on = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    packages = {"torch": torch, "transformers": transformers, "trl": trl, "mirg-rewards": mirg_rewards}
    versions = ", ".join(f"{name} {module.__version__}" for name, module in packages.items())
    return f"{on}, Python {platform.python_version()}, {versions}"


def panels(curves: dict[str, list[list[Row]]], window: int = 5) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """For each outcome the curve of each arm on its own training rollouts: the mean of all seeds over `window` steps."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(dict)
    for outcome in OUTCOMES[:3]:
        for arm, runs in curves.items():
            count = min(map(len, runs))
            means = np.mean([[step[outcome] for step in run[:count]] for run in runs], axis=0)
            size = min(window, count)
            smooth = np.convolve(means, np.ones(size) / size, "valid")
            found[outcome][NAMES[arm].replace("`", "")] = list(enumerate(smooth.tolist(), start=size))
    return found


def write(settings: Settings, seeds: Sequence[int], command: str) -> str:
    """Write the tables, the figures behind them and the curves; the tables."""
    summary = summarize(settings, seeds)
    text = report(settings, summary, command)
    for name, content in (("ablation.md", text), ("ablation.json", json.dumps(summary, indent=1))):
        with replacing(settings.output_dir / name) as part:
            part.write_text(content)
    learning_curves(panels({arm: summary["curves"][arm] for arm in ARMS}), settings.output_dir / "ablation.png")
    return text


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=pipeline.PRESETS, default="smoke")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--processes", type=int, default=2, help="stages at a time (default: %(default)s)")
    parser.add_argument("--sft-steps", type=int, help="at most so many")
    parser.add_argument("--rl-steps", type=int, help="so many")
    parser.add_argument("--test-rows", type=int, help="held-out scenes of each seed")
    parser.add_argument("--output-dir", type=Path, help="default: runs/ablation- and the preset")
    parser.add_argument("--docs", action="store_true", help="also put the table and the figure into docs/")
    asked = parser.parse_args(words)
    folder = asked.output_dir or Path("runs", f"ablation-{asked.preset}")
    settings = Settings(asked.preset, folder, asked.sft_steps, asked.rl_steps, asked.test_rows)
    try:
        run_stages(settings, asked.seeds, asked.processes)
    except KeyboardInterrupt:
        print(f"stopped; what is done is in {folder}, and the same command goes on from there", file=sys.stderr)
        return 130
    command = " ".join(["python", "benchmarks/ablation.py", *(sys.argv[1:] if words is None else words)])
    print(write(settings, asked.seeds, command))
    if asked.docs:
        for name in ("ablation.md", "ablation.png"):
            shutil.copy(folder / name, Path(__file__).parents[1] / "docs" / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
