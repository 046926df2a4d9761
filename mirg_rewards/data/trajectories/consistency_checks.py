"""Check an annotation, and a reasoning trace against it: no false, invented, missing or leaked claim."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mirg_rewards.claims import Claim, Span
from mirg_rewards.data.annotations import Annotation
from mirg_rewards.data.mig_bench import official_iou
from mirg_rewards.data.trajectories.step_plan import images_of, objects_of
from mirg_rewards.data.trajectories.steps import ImageClaim, RelationClaim, Rule, RuleError, Step, TraceClaim
from mirg_rewards.data.trajectories.styles import TrajectoryStyle
from mirg_rewards.data.trajectories.templates import DENIALS, LEAKS
from mirg_rewards.parsing.image_names import REFERENCE

Read = list[tuple[TraceClaim, Span]]

# matches: any digit, quotation mark or bracket, as in "4"
_MADE_UP = re.compile(r'[\d"“”„«»「」\[\]［］<>]')
# matches: "doesn't"
_WORD = re.compile(r"[a-z]+(?:['’ʼ]t)?")
# matches: "ground  truth"
_LEAK = re.compile("|".join(r"\s+".join(map(re.escape, phrase.split())) for phrase in LEAKS))
_EXACT = 1e-9
_SIDES = {
    "left_of": lambda a, b: a[0] + a[2] < b[0] + b[2],
    "right_of": lambda a, b: a[0] + a[2] > b[0] + b[2],
    "above": lambda a, b: a[1] + a[3] < b[1] + b[3],
    "below": lambda a, b: a[1] + a[3] > b[1] + b[3],
}


def check_annotation(annotation: Annotation) -> None:
    """Check that an annotation is sound: boxes with an area inside their images, and no contradictions.

    Raises:
        RuleError: the first problem found, with the rule `Rule.ANNOTATION`.

    >>> from mirg_rewards.data.annotations import ImageNote, ObjectNote, Query
    >>> dog = ObjectNote("dog", 1, "dog", (0.5, 0.2, 0.1, 0.9), "target")
    >>> check_annotation(Annotation("7", (ImageNote(1, "target"),), (dog,), Query("Find it.", "any", ("dog",))))
    Traceback (most recent call last):
    mirg_rewards.data.trajectories.steps.RuleError: object 'dog' has no area: (0.5, 0.2, 0.1, 0.9)
    """
    _check_texts(annotation)
    _check_boxes(annotation)
    _check_answer(annotation)
    _check_distractors(annotation)
    _check_sides(annotation)


def _check_texts(annotation: Annotation) -> None:
    for text in (annotation.query.text, *(note.label for note in annotation.objects)):
        if "<image>" in text:
            raise RuleError(Rule.ANNOTATION, f"trainers put an image wherever a text has <image>, as {text!r} does")


def _check_boxes(annotation: Annotation) -> None:
    for note in annotation.objects:
        if note.box is None:
            continue
        x1, y1, x2, y2 = note.box
        if not (x1 < x2 and y1 < y2):
            raise RuleError(Rule.ANNOTATION, f"object {note.id!r} has no area: {note.box}")
        if not (min(note.box) >= -_EXACT and max(note.box) <= 1 + _EXACT):
            raise RuleError(Rule.ANNOTATION, f"object {note.id!r} lies outside of Image-{note.image}: {note.box}")


def _check_answer(annotation: Annotation) -> None:
    for note in annotation.answer:
        if note.box is None or note.role != "target":
            raise RuleError(Rule.ANNOTATION, f"object {note.id!r} is an answer, and needs a box and the role target")
    answers = [(note.image, note.label, note.box) for note in annotation.answer]
    if twice := [answer for answer in answers if answers.count(answer) > 1]:
        raise RuleError(Rule.ANNOTATION, f"the answer has one and the same object twice: {twice[0]}")
    held = {note.image for note in annotation.answer}
    if held != set(annotation.images_of("target")):
        raise RuleError(
            Rule.ANNOTATION,
            f"the answer is in images {sorted(held)}, and the images of the role target are "
            f"{list(annotation.images_of('target'))}",
        )


def _check_distractors(annotation: Annotation) -> None:
    roles = {image.number: image.role for image in annotation.images}
    asked = {note.label.casefold() for note in annotation.answer} - {""}
    for note in annotation.objects:
        if roles[note.image] == "distractor" and note.label.casefold() in asked:
            raise RuleError(
                Rule.ANNOTATION, f"Image-{note.image} is a distractor, and holds what is asked: {note.label!r}"
            )
    files = {image.file for image in annotation.images if image.role == "target"} - {""}
    for image in annotation.images:
        if image.role == "distractor" and image.file in files:
            raise RuleError(Rule.ANNOTATION, f"Image-{image.number} is a distractor, and the same file as a target")


def _check_sides(annotation: Annotation) -> None:
    notes = {note.id: note for note in annotation.objects}
    for relation in annotation.relations:
        holds = _SIDES.get(relation.predicate)
        ends = [notes.get(str(end)) for end in (relation.subject, relation.object)]
        if holds is None or None in ends:
            continue
        a, b = (end for end in ends if end is not None)
        if a.image == b.image and a.box and b.box and not holds(a.box, b.box):
            raise RuleError(Rule.ANNOTATION, f"{a.id!r} is not {relation.predicate} {b.id!r} by their boxes")


def check_trace(steps: Sequence[Step], read: Sequence[Read], annotation: Annotation, style: TrajectoryStyle) -> None:
    """Check that the claims `read` from the steps are those they were rendered from, and complete.

    Raises:
        RuleError: the first rule that the trace breaks.
    """
    start = 0
    for step, found in zip(steps, read, strict=True):
        if len(found) != len(step.claims) or not all(
            _same(claim, meant, annotation, style) for (claim, _), meant in zip(found, step.claims, strict=True)
        ):
            raise RuleError(Rule.CLAIMS, f"{step.text!r} reads back as {[claim for claim, _ in found]}")
        for claim, (begin, end) in found:
            if not _is_noted(claim, annotation, style):
                raise RuleError(Rule.UNSUPPORTED, f"no note says {claim}", (start + begin, start + end))
        check_prose(step.text, [span for _, span in found], start)
        start += len(step.text) + 1
    _check_completeness([claim for found in read for claim, _ in found], annotation, style)
    _check_leaks(steps, annotation)


def check_prose(text: str, spans: Sequence[Span], start: int) -> None:
    """Check that the prose between claims has no image, number, quotation or negation; else raise RuleError."""
    kept, behind = [], 0
    for begin, end in spans:
        kept.append(text[behind:begin])
        behind = end
    for prose in (*kept, text[behind:]):
        if (found := REFERENCE.search(prose) or _MADE_UP.search(prose)) is not None:
            at = start + text.find(found[0])
            raise RuleError(Rule.UNSUPPORTED, f"{found[0]!r} in {prose!r} is of no claim", (at, at + len(found[0])))
        for word in _WORD.findall(prose.lower()):
            if word in DENIALS or word.endswith(("n't", "n’t", "nʼt")):
                raise RuleError(Rule.UNSUPPORTED, f"{word!r} in {prose!r} could turn a claim around")


def _check_completeness(claims: Sequence[TraceClaim], annotation: Annotation, style: TrajectoryStyle) -> None:
    first: dict[int, int] = {}
    for at, claim in enumerate(claims):
        if isinstance(claim, ImageClaim) and claim.role == "target":
            first.setdefault(claim.image, at)
    named = {image for claim in claims for image in images_of(claim)}
    said = {(one.image, one.label) for claim in claims for one in objects_of(claim)}
    for image in annotation.images:
        if image.role == "target" and image.number not in first:
            raise RuleError(Rule.MISSING, f"Image-{image.number} is not named as the one that holds the answer")
        if image.role == "distractor" and ImageClaim(image.number, "distractor") not in claims:
            raise RuleError(Rule.MISSING, f"Image-{image.number} is not ruled out")
        if image.number not in named:
            raise RuleError(Rule.MISSING, f"nothing is said of Image-{image.number}")
    answers = [note.claim() for note in annotation.answer]
    for at, claim in enumerate(claims):
        for one in objects_of(claim):
            is_answer = any(same_object(one, answer, annotation, style) for answer in answers)
            if is_answer and at < first.get(one.image or 1, 0):
                raise RuleError(Rule.MISSING, f"a box of the answer comes before Image-{one.image} is named")
    for note in annotation.objects:
        if note.role in ("reference", "target") and (note.image, note.label) not in said:
            raise RuleError(Rule.MISSING, f"nothing is said of the {note.role} {note.label!r} in Image-{note.image}")


def _check_leaks(steps: Sequence[Step], annotation: Annotation) -> None:
    opening = steps[0]
    if any(isinstance(claim, ImageClaim) and claim.role == "target" for claim in opening.claims):
        raise RuleError(Rule.LEAK, f"the first step names the image of the answer: {opening.text!r}")
    answers = [note.claim() for note in annotation.answer]
    for claim in opening.claims:
        for one in objects_of(claim):
            if any(_overlap(one, answer) > 0.5 for answer in answers):
                raise RuleError(Rule.LEAK, f"the first step holds a box of the answer: {opening.text!r}")
    start = 0
    for step in steps:
        for found in _LEAK.finditer(step.text.lower()):
            if not _is_in_label(found[0], annotation):
                span = start + found.start(), start + found.end()
                raise RuleError(Rule.LEAK, f"{found[0]!r} owns up to having been told", span)
        start += len(step.text) + 1


def _is_in_label(phrase: str, annotation: Annotation) -> bool:
    return any(phrase in note.label.lower() for note in annotation.objects)


def _is_noted(claim: TraceClaim, annotation: Annotation, style: TrajectoryStyle) -> bool:
    if isinstance(claim, ImageClaim):
        return 1 <= claim.image <= len(annotation.images) and annotation.images[claim.image - 1].role == claim.role
    notes = {note.id: note.claim() for note in annotation.objects}
    if isinstance(claim, RelationClaim):
        return any(
            relation.predicate == claim.predicate
            and all(
                end == said
                if isinstance(end, int) or isinstance(said, int)
                else same_object(said, notes[end], annotation, style)
                for end, said in ((relation.subject, claim.subject), (relation.object, claim.object))
            )
            for relation in annotation.relations
        )
    return any(same_object(claim, note, annotation, style) for note in notes.values())


def _same(claim: TraceClaim, meant: TraceClaim, annotation: Annotation, style: TrajectoryStyle) -> bool:
    if isinstance(claim, Claim) and isinstance(meant, Claim):
        return same_object(claim, meant, annotation, style)
    if isinstance(claim, RelationClaim) and isinstance(meant, RelationClaim):
        return claim.predicate == meant.predicate and all(
            end == other
            if isinstance(end, int) or isinstance(other, int)
            else same_object(end, other, annotation, style)
            for end, other in ((claim.subject, meant.subject), (claim.object, meant.object))
        )
    return claim == meant


def same_object(claim: Claim, note: Claim, annotation: Annotation, style: TrajectoryStyle) -> bool:
    """Compare a claim with an annotated object: image, label, and box up to one step of the style's coordinates.

    A claim without a box is of any object of its image and label.
    """
    if (claim.image, claim.label) != (note.image, note.label):
        return False
    if claim.box is None or note.box is None:
        return claim.box is None
    space = style.grammar.space
    width, height = (
        (space.max_value, space.max_value) if space.max_value else annotation.sizes[(note.image or 1) - 1] or (1, 1)
    )
    if style.grammar.resize is not None:
        width, height = style.grammar.resize((width, height))
    steps = (10**-space.digits / width, 10**-space.digits / height) * 2
    pairs = zip(claim.box.corners, note.box.corners, steps, strict=True)
    return all(abs(said - true) <= step * (1 + _EXACT) for said, true, step in pairs)


def _overlap(claim: Claim, answer: Claim) -> float:
    if claim.image != answer.image or claim.box is None or answer.box is None:
        return 0.0
    return official_iou(claim.box.corners, answer.box.corners)
