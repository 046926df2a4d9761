"""Plan the claims of each reasoning step from an annotation, coarse to fine; the same for every task."""

from __future__ import annotations

from collections.abc import Iterator

from mirg_rewards.claims import Claim
from mirg_rewards.data.annotations import Annotation, Relation
from mirg_rewards.data.trajectories.steps import ImageClaim, RelationClaim, StepKind, TraceClaim

Plan = list[tuple[StepKind, list[TraceClaim]]]

_MOST_CHECKS = 2


def plan(annotation: Annotation, *, boxes: bool = True) -> Plan:
    """Plan the claims of each step: reference, other images, the answer's image, the place, a confirmation.

    No claim about the answer comes before its image is named. Where there is nothing to find, the images are all that is
    gone through. Without `boxes` the claims about objects have none.

    >>> from mirg_rewards.data.annotations import ImageNote, ObjectNote, Query
    >>> images = ImageNote(1, "distractor"), ImageNote(2, "target")
    >>> dog = ObjectNote("dog", 2, "dog", (0.1, 0.2, 0.5, 0.9), "target")
    >>> asked = Annotation("7", images, (dog,), Query("Find the dog.", "group_grounding", ("dog",)))
    >>> [(kind, len(claims)) for kind, claims in plan(asked)]
    [('look', 0), ('compare', 1), ('route', 1), ('locate', 1), ('check', 0)]
    """
    notes = _Notes(annotation, boxes)
    targets = {*annotation.query.answer, *annotation.images_of("target")}
    last = [relation for relation in annotation.relations if {relation.subject, relation.object} & targets]
    early = [relation for relation in annotation.relations if relation not in last]
    spoken = {end for relation in early for end in (relation.subject, relation.object)}
    spoken |= {note.image for note in annotation.objects if note.id in spoken}
    look: list[TraceClaim] = [
        *(notes.objects[note.id] for note in annotation.of_role("reference")),
        *(ImageClaim(number, "source") for number in annotation.images_of("source")),
    ]
    shown = {note.image for note in annotation.of_role("reference")} | spoken
    compare: list[TraceClaim] = []
    for image in annotation.images:
        others = [
            note
            for note in annotation.objects
            if note.image == image.number and note.role in ("candidate", "distractor") and note.id not in spoken
        ]
        compare += [notes.objects[note.id] for note in others]
        if image.role == "distractor":
            compare.append(ImageClaim(image.number, "distractor"))
        elif image.role == "reference" and image.number not in shown and not others:
            look.append(ImageClaim(image.number, "reference"))
    compare += [notes.relation(relation) for relation in early]
    if not targets:
        return [("look", look), ("compare", compare)]
    return [
        ("look", look),
        ("compare", compare),
        ("route", [ImageClaim(number, "target") for number in annotation.images_of("target")]),
        ("locate", [notes.objects[name] for name in annotation.query.answer]),
        ("check", [notes.relation(relation) for relation in last[:_MOST_CHECKS]]),
    ]


def objects_of(claim: TraceClaim) -> Iterator[Claim]:
    """Yield the objects of a claim.

    >>> list(objects_of(RelationClaim(Claim(1, label="dog"), "absent", 2)))
    [Claim(image=1, box=None, point=None, label='dog', polygon=None)]
    """
    if isinstance(claim, RelationClaim):
        yield from (end for end in (claim.subject, claim.object) if isinstance(end, Claim))
    elif isinstance(claim, Claim):
        yield claim


def images_of(claim: TraceClaim) -> Iterator[int]:
    """Yield the images of a claim.

    >>> list(images_of(RelationClaim(Claim(1, label="dog"), "absent", 2)))
    [1, 2]
    """
    ends = (claim.subject, claim.object) if isinstance(claim, RelationClaim) else (claim,)
    for end in ends:
        image = end if isinstance(end, int) else end.image
        if image is not None:
            yield image


class _Notes:
    def __init__(self, annotation: Annotation, boxes: bool) -> None:
        claims = {note.id: note.claim() for note in annotation.objects}
        self.objects = {
            name: claim if boxes else Claim(claim.image, label=claim.label) for name, claim in claims.items()
        }

    def relation(self, relation: Relation) -> RelationClaim:
        subject, other = (
            end if isinstance(end, int) else self.objects[end] for end in (relation.subject, relation.object)
        )
        return RelationClaim(subject, relation.predicate, other)
