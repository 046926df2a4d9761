"""Compose multi-image rows from annotations of single images, with distractors that lack the requested object."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from mirg_rewards.data.annotations import Annotation, ImageNote, ObjectNote, Query
from mirg_rewards.data.trajectories.steps import Rejection, Rule

WINDOW = 512
"""Number of annotations around one that its distractors are drawn from."""


def compose_multi_image(
    notes: Iterable[Annotation | Rejection], images: tuple[int, int], *, seed: int = 0, window: int = WINDOW
) -> Iterator[Annotation | Rejection]:
    """Turn each single-image annotation into one of several images: its own at a random position, and distractors.

    `images` are the fewest and the most. What an image lacks is only known if all of its kinds of objects are noted, as
    COCO does: labels are compared, without regard to case. Where the window has too few images that lack it, fewer are
    taken, and with none the annotation is rejected. What is not of a single image goes through as it is.

    >>> def one(label):
    ...     note = ObjectNote("a", 1, label, (0.1, 0.1, 0.5, 0.5), "target")
    ...     query = Query(f"Find every {label}.", "detection", ("a",))
    ...     return Annotation(label, (ImageNote(1, "target", file=f"{label}.jpg"),), (note,), query)
    >>> made = list(compose_multi_image(map(one, ["dog", "cat", "cow"]), (2, 2)))
    >>> [(one.query.text, [image.role for image in one.images]) for one in made][0]
    ('Find every dog.', ['target', 'distractor'])
    """
    fewest, most = images
    if not 2 <= fewest <= most:
        raise ValueError(f"images must be (fewest, most) with 2 <= fewest <= most, got {images}")
    near: deque[Annotation] = deque(maxlen=window)
    waiting: deque[Annotation | Rejection] = deque()

    def first() -> Annotation | Rejection:
        one = waiting.popleft()
        is_single = isinstance(one, Annotation) and len(one.images) == 1
        return _with_others(one, near, images, seed) if is_single else one  # type: ignore[arg-type] # it is one

    for one in notes:
        waiting.append(one)
        if isinstance(one, Annotation) and len(one.images) == 1:
            near.append(one)
        # Those that come after count as much as those before.
        if len(waiting) > window // 2:
            yield first()
    while waiting:
        yield first()


def _with_others(
    one: Annotation, near: Iterable[Annotation], images: tuple[int, int], seed: int
) -> Annotation | Rejection:
    rng = random.Random(f"{seed} compose {one.id}")
    asked = {note.label.casefold() for note in one.answer}
    files = {one.images[0].file}
    others = []
    for other in near:
        labels = {note.label.casefold() for note in other.objects}
        # Of an image without a file the id stands for it.
        if (
            other.id != one.id
            and not labels & asked
            and (not other.images[0].file or other.images[0].file not in files)
        ):
            others.append(other)
            files.add(other.images[0].file)
    if not others or not asked or "" in asked:
        reason = "no image near it is known to lack what is asked"
        return Rejection(Rule.SOURCE, reason, one.id, "group_grounding")
    chosen = rng.sample(others, min(len(others), rng.randint(*images) - 1))
    place = rng.randint(0, len(chosen))
    row = [*chosen[:place], one, *chosen[place:]]
    notes: list[ImageNote] = []
    objects: list[ObjectNote] = []
    for number, part in enumerate(row, 1):
        notes.append(replace(part.images[0], number=number, role="target" if part is one else "distractor"))
        if part is one:
            objects += [replace(note, image=number) for note in one.objects]
        else:
            objects += [
                replace(note, id=f"{number}/{note.id}", image=number, role="distractor") for note in part.answer[:1]
            ]
    query = Query(one.query.text, "group_grounding", one.query.answer)
    return Annotation(f"{one.id}+{len(chosen)}", tuple(notes), tuple(objects), query, one.relations)
