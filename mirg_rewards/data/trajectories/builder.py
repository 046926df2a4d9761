"""Build trajectories from annotations, or name the rule that one would break."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterable, Sequence

from mirg_rewards.claims import Claim
from mirg_rewards.data.annotations import Annotation
from mirg_rewards.data.trajectories import claim_text
from mirg_rewards.data.trajectories.consistency_checks import check_annotation, check_trace
from mirg_rewards.data.trajectories.mutation_checks import Candidate, candidate, check_answers
from mirg_rewards.data.trajectories.rewriting import Rewriter, rewritten
from mirg_rewards.data.trajectories.step_plan import plan
from mirg_rewards.data.trajectories.steps import (
    ImageClaim,
    Rejection,
    Rule,
    RuleError,
    Step,
    StepKind,
    TraceClaim,
    Trajectory,
)
from mirg_rewards.data.trajectories.styles import STYLES, TrajectoryStyle
from mirg_rewards.data.trajectories.templates import OPENERS, SENTENCES

BUDGET = 1024
"""Tokens that a text may have: what MG-Thinker trains with; UniVG-R1 evaluates with 256."""

# matches: "7", "dog", "[" and "_", one at a time
_TOKEN = re.compile(r"[0-9一-鿿]|[^\W\d_]+|[^\w\s]|_")


def count_tokens(text: str) -> int:
    """Estimate the tokens of a text: one per digit and one per word.

    >>> count_tokens("Image-2 [10, 200]")
    11
    """
    return len(_TOKEN.findall(text))


def build(
    annotations: Iterable[Annotation],
    style: TrajectoryStyle = STYLES["mig"],
    *,
    seed: int = 0,
    budget: int = BUDGET,
    tokens: Callable[[str], int] = count_tokens,
    rewriter: Rewriter | None = None,
    keep_original: bool = True,
) -> list[Trajectory | Rejection]:
    """Build the trajectory of each annotation, or name the rule that it breaks (see `Rule`).

    The wording depends on `seed` and the annotation's id alone. `tokens` counts
    the tokens of a text, which may be `budget`. A `rewriter` may rephrase the reasoning; where it changes a claim,
    the original text is kept, or rejected with `keep_original=False`.

    All are scored as one batch in memory; for files use `corpus.make_trajectories`.

    >>> from mirg_rewards.data.annotations import ImageNote, ObjectNote, Query
    >>> images = ImageNote(1, "distractor"), ImageNote(2, "target")
    >>> dog = ObjectNote("dog", 2, "dog", (0.1, 0.2, 0.5, 0.9), "target")
    >>> (made,) = build([Annotation("7", images, (dog,), Query("Find the dog.", "group_grounding", ("dog",)))])
    >>> print(made.text)
    <think>Which of them fits?
    Let me go through them. After a look, Image-1 can be ruled out.
    This leaves one of them. So Image-2 must hold the answer.
    Here is what was described. The box goes tightly around "dog" [100, 200, 500, 900] in Image-2.
    Let me read the description again.</think><answer>Image-2: (100,200),(500,900)</answer>
    """
    if budget < 1:
        raise ValueError(f"budget must be a number of tokens from 1 up, got {budget}")
    results: list[Trajectory | Rejection | Candidate] = []
    seen: set[bytes] = set()
    for annotation in annotations:
        try:
            if (key := claim_set(annotation)) in seen:
                raise RuleError(Rule.DUPLICATE, "another trajectory makes the same claims about the same images")
            results.append(_candidate(annotation, style, seed, budget, tokens, rewriter, keep_original=keep_original))
            seen.add(key)
        except RuleError as error:
            results.append(_rejection(annotation, error))
    verdicts = iter(check_answers([one for one in results if isinstance(one, Candidate)], style))
    made: list[Trajectory | Rejection] = []
    for one in results:
        if not isinstance(one, Candidate):
            made.append(one)
        elif (broken := next(verdicts)) is not None:
            made.append(_rejection(one.annotation, broken))
        else:
            made.append(_trajectory(one, tokens, official=style.official and len(one.claims) == 1))
    return made


def trajectory(
    annotation: Annotation, style: TrajectoryStyle = STYLES["mig"], *, seed: int = 0
) -> Trajectory | Rejection:
    """Build the trajectory of one annotation, as `build` does."""
    return build([annotation], style, seed=seed)[0]


def claim_set(annotation: Annotation) -> bytes:
    """Hash an annotation's content into 8 bytes, equal for two rows that differ in wording only.

    Where an image has no file, the annotation's id stands for the images.
    """
    files = [image.file for image in annotation.images]
    name = files if all(files) else [annotation.id]
    objects = {note.id: (note.image, note.label, note.box, note.role) for note in annotation.objects}
    relations = sorted(
        str((objects.get(str(one.subject), one.subject), one.predicate, objects.get(str(one.object), one.object)))
        for one in annotation.relations
    )
    answer = sorted(str(objects[name]) for name in annotation.query.answer)
    roles = [image.role for image in annotation.images]
    whole = repr((name, roles, sorted(map(str, objects.values())), relations, answer))
    return hashlib.blake2b(whole.encode("utf-8", "backslashreplace"), digest_size=8).digest()


def _candidate(
    annotation: Annotation,
    style: TrajectoryStyle,
    seed: int,
    budget: int,
    tokens: Callable[[str], int],
    rewriter: Rewriter | None,
    *,
    keep_original: bool,
) -> Candidate:
    check_annotation(annotation)
    sizes = annotation.sizes
    if style.grammar.space.max_value is None and None in sizes:
        missing = sizes.index(None) + 1
        raise RuleError(Rule.ANNOTATION, f"the grammar counts in pixels, and the size of Image-{missing} is not noted")
    rng = random.Random(f"{seed} {annotation.id}")
    openers = OPENERS.get(annotation.query.task, OPENERS[""])
    thing = rng.choice(claim_text.THINGS)
    steps = []
    for kind, claims in plan(annotation, boxes=style.think_boxes):
        text = _worded(kind, claims, openers[kind], annotation, style, rng, thing)
        if text:
            steps.append(Step(kind, text, tuple(claims)))
    checked = _checked(steps, annotation, style, budget, tokens)
    if rewriter is None:
        return checked
    try:
        spans = [[span for _, span in claim_text.read_claims(step.text, style, sizes)] for step in steps]
        return _checked(rewritten(steps, spans, rewriter), annotation, style, budget, tokens)
    except RuleError:
        if keep_original:
            return checked
        raise


def _checked(
    steps: Sequence[Step], annotation: Annotation, style: TrajectoryStyle, budget: int, tokens: Callable[[str], int]
) -> Candidate:
    read = [claim_text.read_claims(step.text, style, annotation.sizes) for step in steps]
    check_trace(steps, read, annotation, style)
    made = candidate(annotation, steps, style)
    if (length := tokens(made.text)) > budget:
        raise RuleError(Rule.LENGTH, f"the text has {length} tokens, and the budget is {budget}")
    return made


def _worded(
    kind: StepKind,
    claims: Sequence[TraceClaim],
    openers: Sequence[str],
    annotation: Annotation,
    style: TrajectoryStyle,
    rng: random.Random,
    thing: str,
) -> str:
    opener = rng.choice(openers)
    if kind == "look" and not claims:
        opener = opener or next(filter(None, openers))
    sentences = [opener] if opener else []
    for claim in claims:
        about = "image" if isinstance(claim, ImageClaim) else "object" if isinstance(claim, Claim) else "relation"
        form = rng.choice(SENTENCES[kind, about])
        sentence = form.replace("{}", claim_text.write_claim(claim, style, annotation.sizes, rng, thing))
        sentences.append(f"{sentence[:1].upper()}{sentence[1:]}.")
    return " ".join(sentences)


def _trajectory(one: Candidate, tokens: Callable[[str], int], *, official: bool) -> Trajectory:
    note = one.annotation
    files = tuple(image.file for image in note.images)
    length = tokens(one.text)
    return Trajectory(
        note.id, note.query.task, note.query.text, files, one.steps, one.target, one.text, length, official
    )


def _rejection(annotation: Annotation, error: RuleError) -> Rejection:
    return Rejection(error.rule, error.reason, annotation.id, annotation.query.task, error.span)
