"""What is wrong with the answers of a batch, in words: how many have each defect, and which mix-up may be behind it."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mirg_rewards.batch import Answers
from mirg_rewards.claims import Defect

Flags = npt.NDArray[np.bool_]
Signs = Mapping[str, int]
"""How many answers show each sign of a mix-up, and how many could have."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How many of `answers` have each defect, the most frequent first, and hints; printing it gives a table.

    `clean` are the answers without a defect, `signs` what the hints are made from. The sum of the diagnoses of several
    batches is that of all their answers.

    >>> from mirg_rewards import Defect, Parsed, Target, pack
    >>> answers, _ = pack([Parsed(), Parsed((), Defect.NO_ANSWER)], [Target((), (None,))] * 2)
    >>> print(diagnose(answers) + diagnose(answers))
    4 answers, 2 without a defect
    NO_ANSWER  2  50.0 %  No answer was found: no claim, and no empty list either.
    """

    answers: int = 0
    clean: int = 0
    defects: Mapping[Defect, int] = field(default_factory=dict)
    signs: Signs = field(default_factory=dict, repr=False)

    @property
    def hints(self) -> list[str]:
        """A sentence for each mix-up that looks likely, by at least 8 answers. Hints never change a reading."""
        return [sentence for is_likely, sentence in _HINTS if is_likely(self.signs)]

    def __add__(self, other: Diagnosis) -> Diagnosis:
        return Diagnosis(
            self.answers + other.answers,
            self.clean + other.clean,
            _descending(Counter(self.defects) + Counter(other.defects)),
            Counter(self.signs) + Counter(other.signs),
        )

    def to_json(self) -> dict[str, Any]:
        """The diagnosis as JSON can hold it; `from_json` gives an equal one back.

        >>> Diagnosis(2, 1, {Defect.NO_ANSWER: 1}).to_json()
        {'answers': 2, 'clean': 1, 'defects': {'NO_ANSWER': 1}, 'signs': {}}
        """
        defects = {str(defect.name): count for defect, count in self.defects.items()}
        return {"answers": self.answers, "clean": self.clean, "defects": defects, "signs": dict(self.signs)}

    @classmethod
    def from_json(cls, wire: Mapping[str, Any]) -> Diagnosis:
        """What `to_json` has given, as a diagnosis.

        >>> Diagnosis.from_json(Diagnosis(2, 1, {Defect.NO_ANSWER: 1}).to_json())
        Diagnosis(answers=2, clean=1, defects={<Defect.NO_ANSWER: 1>: 1})
        """
        defects = {Defect[name]: count for name, count in wire["defects"].items()}
        return cls(wire["answers"], wire["clean"], defects, wire["signs"])

    def __str__(self) -> str:
        rows = [
            (str(defect.name), str(count), f"{count / self.answers:.1%}".replace("%", " %"), *defect.sentences())
            for defect, count in self.defects.items()
        ]
        name, count, share = (max((len(row[column]) for row in rows), default=0) for column in range(3))
        lines = [f"{self.answers} answers, {self.clean} without a defect"]
        lines += [f"{row[0]:<{name}}  {row[1]:>{count}}  {row[2]:>{share}}  {row[3]}" for row in rows]
        for hint in self.hints:
            lines += textwrap.wrap(f"Hint: {hint}", 118, subsequent_indent="      ", break_on_hyphens=False)
        return "\n".join(lines)


def diagnose(answers: Answers) -> Diagnosis:
    """The defects of a batch with a sentence each, and hints where a mix-up looks likely: `print(diagnose(answers))`.

    Only the answers are looked at, never the truth.

    >>> from mirg_rewards import GRAMMARS, Target, pack, parse
    >>> said = parse("<think>so</think>[[12, 30, 200, 320]]", GRAMMARS["mirg"], [None])
    >>> answers, _ = pack([said] * 8, [Target((), (None,))] * 8)
    >>> diagnose(answers).defects
    {<Defect.TEXT_OUTSIDE: 8192>: 8, <Defect.OTHER_SYNTAX: 16384>: 8}
    >>> diagnose(answers).hints[0][:62]
    "Most answers are written in another way than the grammar's own"
    """
    counts = answers.defect_counts()
    defects = answers.defects.cpu().numpy()
    signs = {name: int(np.count_nonzero(flags)) for name, flags in _signs(answers, defects).items()}
    signs |= {str(defect.name): count for defect, count in counts.items()}
    return Diagnosis(len(defects), int(np.count_nonzero(defects == 0)), counts, {"answer": len(defects), **signs})


def _descending(counts: Counter[Defect]) -> dict[Defect, int]:
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0].value)))


# Coordinates past the image by less than this are drift, which many models show.
_DRIFT = 0.05


def _signs(answers: Answers, defects: npt.NDArray[np.int64]) -> dict[str, Flags]:
    """For each sign of a mix-up the answers that show it, `[b]`."""
    claims = answers.claims
    boxes, images = claims.boxes.cpu().numpy(), claims.images.cpu().numpy()
    is_box = claims.has_box.cpu().numpy()
    counts = claims.counts.cpu().numpy()
    row = np.repeat(np.arange(len(defects)), counts)
    texts = answers.texts or ("",) * len(defects)

    def count(flags: Flags) -> npt.NDArray[np.int64]:
        """How many claims of each answer are flagged."""
        return np.bincount(row[flags], minlength=len(defects))

    def have(defect: Defect) -> Flags:
        return (defects & defect.value).astype(np.bool_)

    def where(flags: Flags, holds: Callable[[int], bool]) -> Flags:
        """`flags`, less the answers of which `holds` is false; it is not asked about others."""
        return np.array([bool(flag) and holds(number) for number, flag in enumerate(flags)], dtype=np.bool_)

    beyond = is_box & ((boxes.min(1) < -_DRIFT) | (boxes.max(1) > 1 + _DRIFT))
    spread = is_box & (boxes.max(1) > 1 / 3)
    has_box = count(is_box) > 0
    no_answer, unclosed, truncated = have(Defect.NO_ANSWER), have(Defect.UNCLOSED), have(Defect.TRUNCATED)
    unknown, no_think = have(Defect.UNKNOWN_IMAGE), have(Defect.NO_THINK)
    image_0 = where(unknown, lambda number: any(claim.image == 0 for claim in answers.parsed[number].claims))
    think_closed = where(no_think, lambda number: answers.parsed[number].think is not None)
    return {
        "box": has_box,
        "boxes beyond the image": 2 * count(beyond) > count(is_box),
        "boxes in the corner": has_box & (count(spread) == 0) & ~have(Defect.OTHER_SPACE),
        "claim": counts > 0,
        "image unsaid": 2 * count(images == 0) > counts,
        "image said": count(images != 0) > 0,
        "image 0": image_0,
        "image 1": count(images == 1) > 0,
        "image too high": unknown & ~image_0,
        "cut off": truncated | (unclosed & no_answer),
        "answer not closed": where(
            unclosed & ~truncated & ~no_answer,
            lambda number: "<answer>" in texts[number] and "</answer>" not in texts[number],
        ),
        "think closed alone": think_closed,
        "no think": no_think & ~think_closed & ~unclosed,
        "nothing read": no_answer & ~unclosed & ~truncated,
    }


def _many(sign: str, among: str = "answer", share: float = 0.5, least: int = 8) -> Callable[[Signs], bool]:
    """Whether at least `least` answers show `sign`, and at least this share of those that show `among`."""
    return lambda signs: signs.get(sign, 0) >= max(least, share * signs.get(among, 0))


def _counted_from_one(signs: Signs) -> bool:
    """Images too high are named, and image 1 is not: what counting from 1 looks like where it is read as from 0."""
    return _many("image too high", "image said", 0.1)(signs) and 20 * signs.get("image 1", 0) < signs["image too high"]


class _Hint(NamedTuple):
    is_likely: Callable[[Signs], bool]
    sentence: str


_HINTS = (
    _Hint(
        _many("boxes beyond the image", "box"),
        "Most boxes lie outside their image: is the space right, and the order? Try dataclasses.replace(grammar, "
        "space=PIXELS), or space=Space(1000), resize=None, or another order (--space, --order).",
    ),
    _Hint(
        _many("OTHER_SPACE", "box"),
        "Most boxes are fractions of the image, though the grammar counts higher: does the model write those? "
        "dataclasses.replace(grammar, space=Space(1), resize=None) reads them (--space 1).",
    ),
    _Hint(
        _many("boxes in the corner", "box", 0.99, 50),
        "Nearly all boxes crowd into the top left corner: does the model count to less than the grammar, such as to 100, "
        "or in the pixels of a smaller image? dataclasses.replace(grammar, space=..., resize=...) says so (--space).",
    ),
    _Hint(
        _many("SWAPPED_CORNERS", "box"),
        "Most boxes have swapped corners: does the model write width and height in place of the second corner? "
        'dataclasses.replace(grammar, order="xywh"), or "cxcywh", reads that (--order).',
    ),
    _Hint(
        _many("image 0", "image said", 0.1),
        "Image 0 is named often: does the model count images from 0? first_image=0 reads bare numbers so; "
        '"image" and "Image-1" always count from 1, which the prompt should then say.',
    ),
    _Hint(
        _counted_from_one,
        "Images are named that the rows do not have, and image 1 hardly ever: does the model count images from 1 where "
        'the grammar counts from 0, by first_image=0 or by a key such as "img_idx"?',
    ),
    _Hint(
        _many("image unsaid", "claim"),
        "Most claims do not say which image they are about, in rows of several: does the prompt ask for its number?",
    ),
    _Hint(
        _many("OTHER_SYNTAX"),
        "Most answers are written in another way than the grammar's own: does another of GRAMMARS fit the model "
        "(--grammar)? Or did decoding strip its special tokens (skip_special_tokens=False keeps them)?",
    ),
    _Hint(
        _many("nothing read"),
        "Nothing can be read from most answers: does the prompt ask for boxes, does the grammar fit the model "
        "(--grammar), and did decoding keep its special tokens (skip_special_tokens=False)?",
    ),
    _Hint(
        _many("cut off"),
        "Most answers break off in the middle: is max_completion_length (max_tokens) too small?",
    ),
    _Hint(
        _many("answer not closed"),
        "Most answers are whole but for </answer>: is it a stop string, which generation leaves out? "
        "vLLM keeps it with include_stop_str_in_output=True.",
    ),
    _Hint(
        _many("think closed alone"),
        "Most answers close a think part that they never opened: does the chat template open it? "
        'dataclasses.replace(grammar, think="prefilled") reads that.',
    ),
    _Hint(
        _many("no think"),
        "Most answers have no think part: does the prompt ask for one? If it should not, "
        'dataclasses.replace(grammar, think="optional") does without.',
    ),
)
