"""lmms-eval: MIG-Bench as tasks, for a folder passed as `--include_path`. Does not import lmms-eval.

examples/lmms_eval is such a folder: a file of tasks in YAML, whose functions are those of `wrap(grammar, annotations)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from mirg_rewards.coordinates import PIXELS
from mirg_rewards.data import mig_bench
from mirg_rewards.data.mig_bench import Entry
from mirg_rewards.evaluation import evaluate_mig_bench, evaluate_mig_bench_officially
from mirg_rewards.parsing import Grammar, as_grammar


@dataclass(frozen=True, slots=True)
class MIGBench:
    """The functions of lmms-eval's tasks, for one grammar and one location of the files."""

    grammar: Grammar
    annotations: Path
    images: Path
    image_from_question: bool

    def docs(self, task: str) -> Callable[[Any], Any]:
        """Return `process_docs` of one of the ten tasks: its entries, with position and target image.

        Raises ValueError for another task, and where the file is not of the benchmark's form.
        """
        if task not in mig_bench.TASKS:
            raise ValueError(f"task must be one of {', '.join(mig_bench.TASKS)}, got {task!r}")

        def of_task(dataset: Any) -> Any:
            rows = [_as_doc(entry) for entry in mig_bench.read_entries(self.annotations) if entry.task == task]
            return dataset.from_list(rows)

        return of_task

    def visuals(self, doc: Mapping[str, Any]) -> list[Any]:
        """Implement `doc_to_visual`: the entry's images in order. Raises OSError for a missing file."""
        from PIL import Image

        return [Image.open(path).convert("RGB") for path in self._paths(doc)]

    def text(self, doc: Mapping[str, Any], settings: Mapping[str, str] | None = None) -> str:
        """Implement `doc_to_text`: the question between `pre_prompt` and `post_prompt` of lmms_eval_specific_kwargs."""
        asked = settings or {}
        return asked.get("pre_prompt", "") + str(doc["question"]) + asked.get("post_prompt", "")

    def target(self, doc: Mapping[str, Any]) -> str:
        """Implement `doc_to_target`: the target image and box, for people to read."""
        return f"Image-{doc['target_image']}: {list(doc['answer'])}"

    def results(self, doc: Mapping[str, Any], responses: Sequence[str]) -> dict[str, float]:
        """Implement `process_results`: an entry's official and strict metrics, each with its prefix.

        An entry whose true box is inverted is an official miss, and has no strict metrics.
        """
        entry = Entry(**{part.name: _hashable(doc[part.name]) for part in fields(Entry) if part.name in doc})
        official = evaluate_mig_bench_officially([entry], responses)
        found = {"official": official.values}
        if entry.hittable:
            if self.grammar.space == PIXELS:
                entry = replace(entry, sizes=self._sizes(doc))
            asked = self.image_from_question
            strict = evaluate_mig_bench([entry], responses, self.grammar, image_from_question=asked)
            found["strict"] = strict.values
        return {
            f"{mode}_{metric}": float(column[0]) for mode, values in found.items() for metric, column in values.items()
        }

    def _paths(self, doc: Mapping[str, Any]) -> list[Path]:
        return [self.images / path for path in doc["images"]]

    def _sizes(self, doc: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
        from PIL import Image

        sizes = []
        for path in self._paths(doc):
            with Image.open(path) as image:
                sizes.append(image.size)
        return tuple(sizes)


def wrap(
    grammar: Grammar | str,
    annotations: str | Path,
    *,
    images: str | Path | None = None,
    image_from_question: bool = False,
) -> MIGBench:
    """Build the functions for lmms-eval's task YAML; `annotations` is the path of MIG_data.json.

    `grammar`, or its name, reads the answers for the strict metrics; the official ones have their own way. `images` is
    the folder that the file's paths start from, which begin with `./MIG-Bench/images`; by default where the file lies. With
    `image_from_question` an answer that names no image speaks of the one that the question states.

    >>> from mirg_rewards import GRAMMARS
    >>> bench = wrap(GRAMMARS["mig"], "MIG_data.json")
    >>> doc = {"position": 0, "task": "diff", "images": ["a.png", "b.png"], "question": "What differs?",
    ...        "answer": [0.0, 0.0, 0.5, 1.0], "target_image": 2, "how": "protocol:second"}
    >>> found = bench.results(doc, ["<think>Easy.</think><answer>Image-2: (0,0),(400,1000)</answer>"])
    >>> found["official_acc@0.5"], found["strict_acc@0.5"], found["strict_image_accuracy"]
    (1.0, 1.0, 1.0)
    """
    annotations = Path(annotations).resolve()
    folder = annotations.parent if images is None else Path(images).resolve()
    return MIGBench(as_grammar(grammar), annotations, folder, image_from_question)


def _as_doc(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in asdict(entry).items() if name not in ("sizes", "seen_sizes")}


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
