"""A vision-language model learns to say which image something is in, and where in it: SFT, then GRPO with mirg-rewards.

    python examples/full_pipeline.py                     # synthetic scenes and a tiny model: some minutes on a CPU
    python examples/full_pipeline.py --preset gpu        # a larger model, harder scenes: some minutes on a GPU
    python examples/full_pipeline.py --model Qwen/Qwen2.5-VL-3B-Instruct --data rows.jsonl --grammar qwen25_json --lora 16

A line of rows.jsonl has a `query`, `images` (paths, from the file's folder) and a `target` (`Target.to_json()`, whose
sizes may be left out). It may have `notes` (claims on what else the images hold), a `completion` to learn in SFT (else
one is rendered from notes and target) and a `split`: "test" holds it out (else the last tenth of the lines is).

The output folder gets report.md, report.json, curves.png, rollouts.png, page.html (answers of all stages with their images
and rewards), and for each stage its model and answers.jsonl: its answers to the held-out rows. A run that was stopped goes on
where it was: start it again with the same options. Stages end by their steps, never by the clock.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import tiny_vlm
import torch
import transformers
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from mirg_rewards import GRAMMARS, Grammar, Target, diagnose, presets
from mirg_rewards.adapters import trl as mirg
from mirg_rewards.data.rows import replacing
from mirg_rewards.data.scenes import COLOURS, SceneConfig, scene
from mirg_rewards.data.training_rows import training_row
from mirg_rewards.data.trajectories import read_training_rows, written_trajectory
from mirg_rewards.evaluation import Summary, evaluate, summarize
from mirg_rewards.report.page import write_page
from mirg_rewards.report.pictures import PicturedRollout, learning_curves, rollouts
from mirg_rewards.report.rollouts import read_rollouts
from mirg_rewards.report.scored_rollouts import score_rollouts
from mirg_rewards.report.tables import markdown_table
from mirg_rewards.scoring import columns_of

Row = dict[str, Any]
console = Console()


@dataclass(frozen=True)
class Preset:
    """The settings of a run. `enough` is what SFT must reach on held-out probe rows, greedily, to be stopped."""

    scenes: SceneConfig
    model: tiny_vlm.TinyVLM
    labels: bool  # whether answers say the label beside the box
    sft: dict[str, Any]  # of SFTConfig
    rl: dict[str, Any]  # of GRPOConfig
    enough: dict[str, float] | None
    test_rows: int = 1024
    probe_rows: int = 256
    samples: int = 2  # sampled answers for each held-out row


PRESETS = {
    # Settled by runs on one core; what two cores learn in time decides how little the scenes ask for.
    "smoke": Preset(
        SceneConfig(square=True),
        tiny_vlm.SMOKE,
        labels=False,
        sft={
            "max_steps": 1400,
            "per_device_train_batch_size": 16,
            "learning_rate": 1e-3,
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": 30,
            "adam_beta2": 0.98,
            "weight_decay": 0.01,
        },
        rl={
            "max_steps": 110,
            "per_device_train_batch_size": 128,
            "num_generations": 8,
            "learning_rate": 4e-4,
            "adam_beta2": 0.999,
            "max_completion_length": 56,
        },
        enough={"format": 0.98, "image_accuracy": 0.8, "mean_iou": 0.3},
    ),
    # Sized for one card of the H100 class and ten minutes by calculation.
    "gpu": Preset(
        SceneConfig(
            images=(2, 4),
            shapes=(1, 3),
            kinds=("rectangle", "ellipse", "triangle", "diamond"),
            colours=tuple(COLOURS),
            scales=(("small", 2, 3), ("large", 5, 7)),
            grid=16,
            cells=(5, 6, 7),
            several=0.15,
            none=0.1,
        ),
        tiny_vlm.GPU,
        labels=True,
        sft={
            "max_steps": 2000,
            "per_device_train_batch_size": 128,
            "learning_rate": 1e-3,
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": 100,
            "adam_beta2": 0.98,
            "weight_decay": 0.01,
            "dataloader_num_workers": min(8, os.cpu_count() or 1),
        },
        rl={
            "max_steps": 80,
            "per_device_train_batch_size": 256,
            "num_generations": 8,
            "learning_rate": 2e-4,
            "adam_beta2": 0.999,
            "max_completion_length": 192,
        },
        enough={"format": 0.98, "image_accuracy": 0.75},
    ),
}

REAL = {
    "sft": {
        "max_steps": 100,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 8,
        "gradient_checkpointing": True,
        "learning_rate": 1e-5,
        "warmup_steps": 5,
        "dataloader_num_workers": min(4, os.cpu_count() or 1),
    },
    "rl": {
        "max_steps": 100,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 8,
        "num_generations": 8,
        "gradient_checkpointing": True,
        "learning_rate": 1e-6,
        "max_completion_length": 256,
    },
}
"""What differs where the weights are not ours: a small learning rate (ten times that with LoRA) and small batches."""


@dataclass(frozen=True)
class Data:
    """Rows as TRL takes them, by split and number; of `train` there may be any number, `held_out` counts the others."""

    row: Callable[[str, int], Row]
    held_out: dict[str, int]

    def train(self, count: int, start: int = 0) -> datasets.Dataset:
        """A dataset of `count` training rows from number `start` on, each made when it is asked for."""
        return datasets.Dataset.from_dict({"index": list(range(start, start + count))}).with_transform(self._columns)

    def held_out_rows(self, split: str) -> list[Row]:
        """All rows of a held-out split."""
        return [self.row(split, index) for index in range(self.held_out[split])]

    def _columns(self, batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        rows = [self.row("train", index) for index in batch["index"]]
        return {name: [row[name] for row in rows] for name in rows[0]}


def scene_data(preset: Preset, grammar: Grammar, seed: int, test_rows: int) -> Data:
    """Rows made of synthetic scenes; no held-out scene shows what a training scene shows."""
    return Data(
        partial(scene_row, preset, grammar, seed),
        {"test": test_rows, "probe": min(preset.probe_rows, test_rows)},
    )


def scene_row(preset: Preset, grammar: Grammar, seed: int, split: Any, index: int) -> Row:
    """One scene as a row."""
    made = scene(preset.scenes, index, seed=seed, split=split)
    text = written_trajectory(made.notes, made.target, grammar, labels=preset.labels).text
    return training_row(made.query, made.draw(), made.target, text)


def image_size(path: Path) -> tuple[int, int]:
    """The width and height of an image file; only its header is read."""
    with Image.open(path) as image:
        return image.size


def file_data(path: Path, grammar: Grammar, test_rows: int) -> Data:
    """Rows of a JSONL or parquet file, all checked before anything is trained; a row's images are opened at each use."""
    rows = read_training_rows(path, grammar, image_size)

    def row(split: str, index: int) -> Row:
        found = rows[split][index % len(rows[split])]
        files = {} if split == "train" else {"files": [str(Path(image).absolute()) for image in found["images"]]}
        return {**found, **files, "images": [Image.open(image).convert("RGB") for image in found["images"]]}

    return Data(row, {"test": min(test_rows, len(rows["test"]))})


@dataclass
class Run:
    """What the stages of a run share."""

    settings: argparse.Namespace
    preset: Preset
    grammar: Grammar
    data: Data
    report: Row
    bar: Progress

    @property
    def folder(self) -> Path:
        return self.settings.output_dir

    def model_folder(self, stage: str) -> Path:
        return self.folder / stage / "model"


class Watch(TrainerCallback):
    """Shows how far a stage is, keeps its time, and stops it when its probe has passed."""

    def __init__(self, bar: Progress, stage: str, probe: Callable[[Any], Row] | None) -> None:
        self.bar, self.stage, self.probe = bar, stage, probe
        self.stopped = ""

    def times(self) -> dict[str, float]:
        """The seconds of the stage so far: wall, CPU, and the CPU's for the probe."""
        return {
            "seconds": self.before["seconds"] + time.perf_counter() - self.started,
            "cpu_seconds": self.before["cpu_seconds"] + time.process_time() - self.cpu_started,
            "probe_cpu_seconds": self.before["probe_cpu_seconds"],
        }

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        # After a restart the log of the checkpoint says how long the stage had taken.
        self.before = {
            name: max((entry.get(name, 0.0) for entry in state.log_history), default=0.0)
            for name in ("seconds", "cpu_seconds", "probe_cpu_seconds")
        }
        self.started, self.cpu_started = time.perf_counter(), time.process_time()
        self.task = self.bar.add_task(self.stage, total=state.max_steps, completed=state.global_step, note="")

    def on_step_end(self, _args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self.bar.update(self.task, completed=state.global_step)
        if self.probe is not None and state.global_step % 50 == 0:
            began = time.process_time()
            found = self.probe(model)
            self.before["probe_cpu_seconds"] += time.process_time() - began
            passed = found.pop("passed")
            state.log_history.append({"step": state.global_step, **self.times(), **found})
            self.bar.update(self.task, note="  ".join(f"{name} {value:.2f}" for name, value in found.items()))
            if passed:
                self.stopped = "its held-out probe had passed"
        control.should_training_stop = control.should_training_stop or bool(self.stopped)

    def on_log(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        entry = state.log_history[-1]
        entry.update(self.times())
        for name in ("loss", "reward"):
            if name in entry and self.probe is None:
                self.bar.update(self.task, note=f"{name} {entry[name]:.3f}")


def answers(
    model: Any, processor: Any, rows: Sequence[Row], tokens: int, *, sampled: bool, note: Any = None
) -> list[str]:
    """What the model writes for each row: its likeliest answer, or one sampled at temperature 1."""
    how = {"do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0} if sampled else {"do_sample": False}
    texts: list[str] = []
    training = model.training
    model.eval()
    processor.tokenizer.padding_side = "left"
    for start in range(0, len(rows), 128):
        batch = rows[start : start + 128]
        prompts = [processor.apply_chat_template(row["prompt"], add_generation_prompt=True) for row in batch]
        images = [row["images"] for row in batch]
        inputs = processor(text=prompts, images=images, padding=True, return_tensors="pt").to(model.device)
        with torch.no_grad():
            written = model.generate(**inputs, max_new_tokens=tokens, **how)
        said = written[:, inputs["input_ids"].shape[1] :]
        texts += processor.tokenizer.batch_decode(said, skip_special_tokens=True)
        if note is not None:
            note(len(texts))
    model.train(training)
    return texts


def measure(texts: Sequence[str], targets: Sequence[Target], grammar: Grammar) -> dict[str, Any]:
    """For each metric one number an answer; the reward is the one that GRPO trains on."""
    values = dict(evaluate(texts, targets, grammar, thresholds=[0.5]).values)
    return {**values, "reward": presets.mirg_rl(grammar=grammar)(texts, targets).total.double().numpy()}


def probe(run: Run, processor: Any, rows: Sequence[Row], model: Any) -> Row:
    """What the likeliest answers of a model in training are worth on held-out rows, and whether that is enough."""
    enough = run.preset.enough or {}
    with torch.random.fork_rng():
        texts = answers(model, processor, rows, run.preset.rl["max_completion_length"], sampled=False)
    values = measure(texts, [Target.from_json(row["target"]) for row in rows], run.grammar)
    found = {name: float(values[name].mean()) for name in ("format", "image_accuracy", "mean_iou")}
    return {**found, "passed": all(found[name] >= least for name, least in enough.items())}


def load(run: Run, stage: str) -> tuple[Any, Any]:
    """The model and the processor that a stage has left."""
    return tiny_vlm.load(run.model_folder(stage), dtype=torch.float32 if run.settings.model is None else "auto")


def start(run: Run) -> Row:
    """The model before any training: the one that was named, or a new one with random weights."""
    if run.settings.model is not None:
        # Small steps are lost on weights in half precision, unless they are LoRA's, which are not.
        dtype = torch.bfloat16 if torch.cuda.is_available() and run.settings.lora else torch.float32
        model, processor = tiny_vlm.load(run.settings.model, dtype=dtype)
    else:
        rows = [scene_row(run.preset, run.grammar, run.settings.seed, "train", index) for index in range(2000)]
        parts = [part.get("text", "") for row in rows for part in row["prompt"][0]["content"]]
        texts = [*parts, *(row["completion"][0]["content"] for row in rows), *["user\n", "assistant\n"] * 2]
        model, processor = tiny_vlm.build(run.preset.model, texts, seed=run.settings.seed)
    keep_model(run, "start", model, processor)
    return {"parameters": sum(weights.numel() for weights in model.parameters()), "curve": []}


def sft(run: Run, *, stage: str = "sft", after: str = "start", steps: int | None = None) -> Row:
    """SFT on trajectories, stopped by the probe; or, as `control`, more of it for so many steps, down to a rate of 0."""
    model, processor = load(run, after)
    settings = dict(run.preset.sft)
    check = None
    if stage == "control":
        settings |= {"max_steps": steps, "lr_scheduler_type": "linear", "warmup_steps": 0}
    elif run.preset.enough:
        check = partial(probe, run, processor, run.data.held_out_rows("probe"))
    config = SFTConfig(**{**common(run, stage), "save_steps": 100, "max_length": None, **settings})
    rows = config.max_steps * config.per_device_train_batch_size * config.gradient_accumulation_steps
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=run.data.train(rows, start=10**7 if stage == "control" else 0),
        processing_class=processor,
        peft_config=lora(run),
    )
    return train(run, stage, trainer, processor, check)


def rl(run: Run, *, stage: str = "rl", after: str, reward: Callable[..., list[float | None]] | None = None) -> Row:
    """GRPO on prompts that SFT has not seen, with the library's reward, or another one, and nothing else."""
    model, processor = load(run, after)
    fixed = {"lr_scheduler_type": "linear", "temperature": 1.0, "beta": 0.0, "loss_type": "dapo", "save_steps": 20}
    config = GRPOConfig(**{**common(run, stage), "logging_steps": 1, **fixed, **run.preset.rl})
    rows = config.max_steps * config.per_device_train_batch_size * config.gradient_accumulation_steps
    trainer = GRPOTrainer(
        model=model,
        args=config,
        reward_funcs=reward or mirg.wrap(presets.mirg_rl(grammar=run.grammar)),
        train_dataset=run.data.train(rows // config.num_generations, start=2 * 10**7),
        processing_class=processor,
        peft_config=lora(run),
    )
    return train(run, stage, trainer, processor, None)


def common(run: Run, stage: str) -> Row:
    """The settings that all trainers share."""
    return {
        "output_dir": str(run.folder / stage / "checkpoints"),
        "seed": run.settings.seed,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": torch.cuda.is_available(),
        "logging_steps": 10,
        "save_total_limit": 1,
        "remove_unused_columns": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "disable_tqdm": True,
        "report_to": [],
        **({} if run.settings.model is not None else {"gradient_checkpointing": False}),
    }


def lora(run: Run) -> Any:
    """The LoRA settings that were asked for, if any."""
    if not run.settings.lora:
        return None
    from peft import LoraConfig

    rank = run.settings.lora
    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")


def train(run: Run, stage: str, trainer: Any, processor: Any, check: Callable[[Any], Row] | None) -> Row:
    """Train, from the last checkpoint if there is one, and keep the model; what the stage took and its curve."""
    watch = Watch(run.bar, stage, check)
    trainer.add_callback(watch)
    trainer.remove_callback(PrinterCallback)
    checkpoints = run.folder / stage / "checkpoints"
    # A checkpoint's state is written last: one without it was cut short.
    for folder in checkpoints.glob("checkpoint-*"):
        if not (folder / "trainer_state.json").is_file():
            shutil.rmtree(folder)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(checkpoints) if checkpoints.is_dir() else None)
    model = trainer.model.merge_and_unload() if run.settings.lora else trainer.model
    keep_model(run, stage, model, processor)
    shutil.rmtree(checkpoints, ignore_errors=True)
    numbers = [{k: v for k, v in entry.items() if isinstance(v, int | float)} for entry in trainer.state.log_history]
    return {
        "steps": trainer.state.global_step,
        "stopped": watch.stopped or "its steps were done",
        **watch.times(),
        "curve": numbers,
    }


def keep_model(run: Run, stage: str, model: Any, processor: Any) -> None:
    """Save model and processor as a checkpoint: whole, or not at all."""
    folder = run.model_folder(stage)
    part = folder.with_name("model.part")
    shutil.rmtree(part, ignore_errors=True)
    tiny_vlm.save(model, processor, part)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def test(run: Run, stage: str) -> Row:
    """What the stage's model answers to the held-out rows, greedily and sampled; the answers are kept beside it."""
    model, processor = load(run, stage)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(run.settings.seed)
    rows = run.data.held_out_rows("test")
    targets = [Target.from_json(row["target"]) for row in rows]
    files = image_files(run, rows)
    scorer = presets.mirg_rl(grammar=run.grammar)
    found: Row = {}
    with replacing(run.folder / stage / "answers.jsonl") as part, part.open("w") as lines:
        for decoding, times in (("greedy", 1), ("sampled", run.preset.samples)):
            task = run.bar.add_task(f"{stage}: {decoding} answers", total=len(rows) * times, note="")
            note = partial(advance, run.bar, task)
            tokens = run.preset.rl["max_completion_length"]
            texts = answers(model, processor, rows * times, tokens, sampled=decoding == "sampled", note=note)
            values = measure(texts, targets * times, run.grammar)
            # A row counts once, however many answers were sampled for it.
            by_row = {name: column.reshape(times, len(rows)).mean(0) for name, column in values.items()}
            summary = summarize(by_row).micro_average
            found[decoding] = {"n": summary.n, "means": summary.means, "intervals": summary.intervals}
            found[f"{decoding}_rewards"] = [round(float(reward), 4) for reward in by_row["reward"]]
            scores = scorer(texts, targets * times)
            columns = columns_of(scores)
            for index, text in enumerate(texts):
                row = index % len(rows)
                line = {
                    "row": row,
                    "group": row,
                    "task": f"{NAMES.get(stage, stage)}, {decoding}",
                    "decoding": decoding,
                }
                line |= {"prompt": rows[row]["prompt"], "images": files[row], "completion": text}
                line |= {"target": rows[row]["target"], **{name: column[index] for name, column in columns.items()}}
                lines.write(json.dumps(line) + "\n")
    # That of the answers sampled last, which RL learns from.
    found["diagnosis"] = str(diagnose(scores, groups=[*range(len(rows))] * times))
    return found


def image_files(run: Run, rows: Sequence[Row]) -> list[list[str]]:
    """The image files of held-out rows; those of scenes are drawn into the folder `images` of the run."""
    folder = run.folder.absolute() / "images"
    folder.mkdir(exist_ok=True)
    found = []
    for index, row in enumerate(rows):
        files = [folder / f"{index}-{number}.png" for number in range(1, len(row["images"]) + 1)]
        if "files" not in row:
            for image, file in zip(row["images"], files, strict=True):
                if not file.is_file():
                    with replacing(file) as part:
                        image.save(part, "png")
        # Relative to the folder of the stage, so that the run may be moved.
        found.append(row.get("files") or [f"../images/{file.name}" for file in files])
    return found


def advance(bar: Progress, task: Any, done: int) -> None:
    bar.update(task, completed=done)


def paired_difference(after: Sequence[float], before: Sequence[float]) -> tuple[float, float, float]:
    """The mean of `after - before` over rows, and the ends of its 95 % interval."""
    difference = np.subtract(after, before)
    mean, half = difference.mean(), 1.96 * difference.std(ddof=1) / math.sqrt(len(difference))
    return float(mean), float(mean - half), float(mean + half)


NAMES = {"start": "before SFT", "sft": "after SFT", "rl": "after RL", "control": "control: SFT for RL's time"}
PAGE_ROWS = 48
"""Held-out rows on the page: with three stages of one greedy and two sampled answers each, 432 answers."""
METRICS = ("format", "image_accuracy", "mean_iou", "acc@0.5", "reward")


def write_report(run: Run) -> str:
    """Write report.json, report.md and both pictures for the stages that are done; the text of report.md."""
    stages, settings = run.report["stages"], run.report["settings"]
    for stage, base in (("rl", "sft"), ("control", "sft")):
        if stage in stages and base in stages and run.data.held_out["test"] > 1:
            gain = paired_difference(stages[stage]["sampled_rewards"], stages[base]["sampled_rewards"])
            run.report[f"{stage}_minus_{base}"] = dict(zip(("mean", "low", "high"), gain, strict=True))
    table = {
        f"{NAMES.get(stage, stage)}, {decoding}": Summary(**stages[stage][decoding])
        for decoding in ("greedy", "sampled")
        for stage in stages
    }
    lines = [
        f"# {settings['model'] or settings['preset']}, seed {settings['seed']}",
        "",
        f"Held out: {run.data.held_out['test']} rows, each answered once greedily and {run.preset.samples} times sampled "
        "(temperature 1). "
        + ("No held-out scene shows what a training scene shows. " if settings["data"] is None else "")
        + f"Whoever names one image at random is right in {100 * run.report['chance']:.1f} % of rows. "
        "In percent, with 95 % intervals:",
        "",
        markdown_table(table, METRICS, intervals=True),
        "",
        *notes(run),
        "",
        "| stage | steps | ended because | wall seconds | CPU seconds |",
        "| --- | ---: | --- | ---: | ---: |",
        *(
            f"| {stage} | {done['steps']} | {done['stopped']} | {done['seconds']:.0f} | {done['cpu_seconds']:.0f} |"
            for stage, done in stages.items()
            if "steps" in done
        ),
    ]
    text = "\n".join(lines) + "\n"
    for name, content in (("report.json", json.dumps(run.report, indent=1)), ("report.md", text)):
        with replacing(run.folder / name) as part:
            part.write_text(content)
    if panels := {stage: curves(done["curve"]) for stage, done in stages.items() if done["curve"]}:
        learning_curves(panels, run.folder / "curves.png")
    rollouts(last_rollouts(run, list(stages)[-1]), run.folder / "rollouts.png")
    return text


def notes(run: Run) -> list[str]:
    """What must be known to read the table."""
    stages, lines = run.report["stages"], []
    if run.preset.enough and "sft" in stages:
        least = " and ".join(f"{name} {share:.2f}" for name, share in run.preset.enough.items())
        lines.append(
            f"SFT is a cold start: it is stopped as soon as its greedy answers to {run.data.held_out['probe']} held-out "
            f"probe rows reach {least}, so that RL has something left to learn."
            if "probe" in stages["sft"]["stopped"]
            else f"SFT ended before its probe reached {least}: the figures after it say little."
        )
    for stage in ("rl", "control"):
        if gain := run.report.get(f"{stage}_minus_sft"):
            mean, low, high = (100 * gain[end] for end in ("mean", "low", "high"))
            lines.append(
                f"Mean reward of sampled answers, {NAMES[stage]} minus after SFT: {mean:+.2f} points "
                f"(95 % interval {low:+.2f} to {high:+.2f}, paired by row)."
            )
    return lines


def curves(entries: Sequence[Row]) -> dict[str, list[tuple[float, float]]]:
    """The lines to draw of a trainer's log: the terms of the reward, or the metrics of the probe, or else the loss."""
    for shown in (
        ("reward", "mirg/format", "mirg/image", "mirg/object"),
        ("format", "image_accuracy", "mean_iou"),
        ("loss",),
    ):
        lines = {name: [(entry["step"], entry[name]) for entry in entries if name in entry] for name in shown}
        if lines[shown[0]]:
            return {name: line for name, line in lines.items() if line}
    return {}


def last_rollouts(run: Run, stage: str) -> list[PicturedRollout]:
    """Six of the stage's sampled answers, with their images."""
    kept = (json.loads(line) for line in (run.folder / stage / "answers.jsonl").open())
    texts = [line["completion"] for line in kept if line["decoding"] == "sampled"][:6]
    rows = [run.data.row("test", index) for index in range(min(6, run.data.held_out["test"]))]
    targets = [Target.from_json(row["target"]) for row in rows]
    scores = presets.mirg_rl(grammar=run.grammar)(texts[: len(rows)], targets)
    queries = [row["prompt"][0]["content"][-1]["text"] for row in rows]
    return [
        PicturedRollout(row["images"], query, target, parsed, float(reward))
        for row, query, target, parsed, reward in zip(
            rows, queries, targets, scores.answers.parsed, scores.total, strict=True
        )
    ]


def write_answers_page(run: Run) -> None:
    """Write page.html: the answers of all stages to the first held-out rows, side by side for each row."""
    scorer = presets.mirg_rl(grammar=run.grammar)
    files = [run.folder / stage / "answers.jsonl" for stage in run.report["stages"]]
    shown = ([one for one in chunk if int(one.group[1]) < PAGE_ROWS] for chunk, _ in read_rollouts(files))
    scored = (one for chunk in shown for one in score_rollouts(chunk, scorer))
    write_page(scored, run.folder / "page.html", title=f"Answers of {run.folder.name}")


def chance(rows: Sequence[Row]) -> float:
    """How often one would be right who names one image of each row at random."""
    targets = [Target.from_json(row["target"]) for row in rows]
    return sum(1 / len(t.sizes) for t in targets if len({claim.image for claim in t.claims}) == 1) / len(targets)


def run_stages(run: Run) -> None:
    """Every stage that is not done yet: train, test, report."""
    settings, done = run.settings, run.report["stages"]
    base = "sft" if run.preset.sft["max_steps"] else "start"
    stages: dict[str, Callable[[], Row]] = {"start": partial(start, run)}
    if run.preset.sft["max_steps"]:
        stages["sft"] = partial(sft, run)
    if run.preset.rl["max_steps"]:
        stages["rl"] = partial(rl, run, after=base)
    if settings.control:
        stages["control"] = lambda: sft(run, stage="control", after=base, steps=control_steps(done))
    for stage, make in stages.items():
        if stage in done:
            console.print(f"{NAMES[stage]}: done already")
            continue
        done[stage] = finish(run, stage, make)
        write_report(run)
        for decoding in ("greedy", "sampled"):
            means = done[stage][decoding]["means"]
            console.print(f"{NAMES[stage]}, {decoding}: " + ", ".join(f"{name} {means[name]:.3f}" for name in METRICS))
        console.print(done[stage]["diagnosis"], markup=False, highlight=False)


def finish(run: Run, stage: str, make: Callable[[], Row]) -> Row:
    """Train and test a stage. A model that was kept is not trained again if only its test was cut short."""
    made_file = run.folder / stage / "training.json"
    if made_file.is_file() and run.model_folder(stage).is_dir():
        made = json.loads(made_file.read_text())
    else:
        made = make()
        with replacing(made_file) as part:
            part.write_text(json.dumps(made))
    return {**made, **test(run, stage)}


def control_steps(done: Row) -> int:
    """The SFT steps that fit into the CPU time that RL took; no probe interrupts them."""
    sft_step = (done["sft"]["cpu_seconds"] - done["sft"]["probe_cpu_seconds"]) / done["sft"]["steps"]
    return max(1, round(done["rl"]["cpu_seconds"] / sft_step))


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = "gpu" if torch.cuda.is_available() else "smoke"
    parser.add_argument("--preset", choices=PRESETS, default=default, help=f"here {default} unless told otherwise")
    parser.add_argument("--model", help="a checkpoint to train in place of the tiny model: its name or folder")
    parser.add_argument(
        "--data", type=Path, help="rows to train on in place of scenes: .jsonl or .parquet; needs --model"
    )
    parser.add_argument("--grammar", choices=GRAMMARS, default="mirg", help="how answers are written")
    parser.add_argument(
        "--lora", type=int, default=0, metavar="RANK", help="train LoRA adapters, merged after each stage"
    )
    parser.add_argument("--sft-steps", type=int, help="at most so many; 0 leaves SFT out")
    parser.add_argument("--rl-steps", type=int, help="so many; 0 leaves RL out")
    parser.add_argument("--test-rows", type=int, help="held-out rows, at most as many as the data has")
    parser.add_argument("--control", action="store_true", help="also continue SFT for the time that RL took")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="on a CPU; two that are not free are slower than one")
    parser.add_argument("--output-dir", type=Path, default=None, help="default: runs/ and the preset and seed")
    settings = parser.parse_args(words)
    if settings.data is not None and settings.model is None:
        parser.error("--data needs --model: the tiny model knows only the words of its scenes")
    if settings.control and 0 in (settings.sft_steps, settings.rl_steps):
        parser.error("--control compares SFT with RL: it needs both, got --sft-steps 0 or --rl-steps 0")
    for name in ("sft_steps", "rl_steps", "lora"):
        if (getattr(settings, name) or 0) < 0:
            parser.error(f"--{name.replace('_', '-')} must not be negative")
    for name in ("threads", "test_rows"):
        if getattr(settings, name) is not None and getattr(settings, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    settings.output_dir = settings.output_dir or Path("runs", f"{settings.preset}-seed{settings.seed}")
    return settings


def preset_of(settings: argparse.Namespace) -> Preset:
    """The preset with what the command line changes."""
    preset = PRESETS[settings.preset]
    if settings.model is not None:
        rate = 10 if settings.lora else 1
        real = {stage: {**REAL[stage], "learning_rate": rate * REAL[stage]["learning_rate"]} for stage in REAL}
        preset = replace(preset, **real, enough=None, labels=True)
    for stage, steps in (("sft", settings.sft_steps), ("rl", settings.rl_steps)):
        if steps is not None:
            preset = replace(preset, **{stage: {**getattr(preset, stage), "max_steps": steps}})
    return preset


def open_report(settings: argparse.Namespace) -> Row:
    """The report of a run that was stopped, or a new one. Raises ValueError if the folder is another run's."""
    asked = {name: str(value) if isinstance(value, Path) else value for name, value in vars(settings).items()}
    asked = {name: value for name, value in asked.items() if name not in ("output_dir", "control", "threads")}
    path = settings.output_dir / "settings.json"
    if path.is_file():
        before = json.loads(path.read_text())
        for name, value in asked.items():
            if before.get(name) != value:
                raise ValueError(
                    f"{settings.output_dir} holds a run with --{name.replace('_', '-')} {before.get(name)}, not {value}: "
                    "choose another --output-dir"
                )
    else:
        settings.output_dir.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_text(json.dumps(asked))
    done = settings.output_dir / "report.json"
    return json.loads(done.read_text()) if done.is_file() else {"settings": asked, "stages": {}}


def main(words: Sequence[str] | None = None) -> int:
    settings = arguments(words)
    torch.set_num_threads(settings.threads)
    transformers.set_seed(settings.seed)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.logging.set_verbosity_error()  # a dataset whose rows are made when asked for has no fingerprint to cache by
    warnings.filterwarnings("ignore", category=FutureWarning)
    began, cpu = time.perf_counter(), time.process_time()
    grammar, preset = GRAMMARS[settings.grammar], preset_of(settings)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        report = open_report(settings)
        test_rows = settings.test_rows or preset.test_rows
        if settings.data is None:
            data = scene_data(preset, grammar, settings.seed, test_rows)
        else:
            data = file_data(settings.data, grammar, test_rows)
        report["chance"] = chance(data.held_out_rows("test"))
        with Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as bar:
            run = Run(settings, preset, grammar, data, report, bar)
            run_stages(run)
    except KeyboardInterrupt:
        console.print(f"stopped; what is done is in {settings.output_dir}, and the same command goes on from there")
        return 130
    except (ValueError, OSError) as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return 2
    print(write_report(run))
    write_answers_page(run)
    print(
        f"{time.perf_counter() - began:.0f} s wall, {time.process_time() - cpu:.0f} s CPU; all in {settings.output_dir}; "
        f"look at {settings.output_dir / 'page.html'}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
