"""Trajectories exist only if every check holds: what is true passes, and what is planted false is rejected by its rule."""

import random
import re
from dataclasses import replace

import hypothesis
import pytest
from hypothesis import strategies as st

from mirg_rewards import GRAMMARS, Box, Claim, parse
from mirg_rewards.data.annotations import PREDICATES, Annotation, ImageNote, ObjectNote, Query, Relation
from mirg_rewards.data.mig_bench import TASKS, official_box
from mirg_rewards.data.trajectories import (
    STYLES,
    ImageClaim,
    RelationClaim,
    Rule,
    Trajectory,
    TrajectoryStyle,
    build,
    claim_text,
    consistency_checks,
    trajectory,
)
from mirg_rewards.data.trajectories.claim_text import AROUND, BETWEEN
from mirg_rewards.data.trajectories.steps import RuleError, Step
from mirg_rewards.data.trajectories.templates import DENIALS, LEAKS, OPENERS, SENTENCES

ALL = {
    **STYLES,
    "without boxes in think": TrajectoryStyle(GRAMMARS["mig"], think_boxes=False),
    "qwen25_json": TrajectoryStyle(GRAMMARS["qwen25_json"], labels=True),
    "qwen3_json": TrajectoryStyle(GRAMMARS["qwen3_json"]),
    "internvl": TrajectoryStyle(GRAMMARS["internvl"], labels=True),
    "paligemma": TrajectoryStyle(GRAMMARS["paligemma"]),
    "kimi_vl": TrajectoryStyle(GRAMMARS["kimi_vl"], labels=True),
    "gemini": TrajectoryStyle(GRAMMARS["gemini"]),
}
SIZES = (640, 480), (800, 600), (1000, 1000)


def group(**changes):
    """Three images, one of which has the truck; a dog is in another."""
    images = tuple(
        ImageNote(number, role, size, f"{number}.jpg")
        for number, (role, size) in enumerate(zip(["distractor", "target", "distractor"], SIZES, strict=True), 1)
    )
    objects = (
        ObjectNote("truck", 2, "white truck", (0.241, 0.378, 0.447, 0.621), "target"),
        ObjectNote("dog", 3, "dog", (0.1, 0.1, 0.5, 0.4), "distractor"),
    )
    made = Annotation("g", images, objects, Query("Find the white truck.", "group_grounding", ("truck",)))
    return replace(made, **changes)


def tracked():
    images = tuple(ImageNote(n, "target" if n == 3 else "reference", SIZES[n - 1], f"{n}.jpg") for n in (1, 2, 3))
    boxes = {n: (0.1 * n, 0.2, 0.1 * n + 0.3, 0.7) for n in (1, 2, 3)}
    roles = {1: "reference", 2: "candidate", 3: "target"}
    objects = tuple(ObjectNote(f"o{n}", n, "", boxes[n], roles[n]) for n in (1, 2, 3))
    chain = tuple(Relation(f"o{n + 1}", "next_frame", f"o{n}") for n in (1, 2))
    return Annotation("t", images, objects, Query("Follow it.", "object_tracking", ("o3",)), chain)


def nothing_to_find():
    images = tuple(ImageNote(n, "distractor", SIZES[n - 1]) for n in (1, 2))
    return Annotation("n", images, (), Query("Find the cat.", "group_grounding", ()))


def two_answers():
    made = group()
    images = (replace(made.images[0], role="target"), *made.images[1:])
    other = ObjectNote("truck 2", 1, "white truck", (0.5, 0.5, 0.9, 0.9), "target")
    return replace(
        made, images=images, objects=(*made.objects, other), query=replace(made.query, answer=("truck", "truck 2"))
    )


def one_image():
    note = ObjectNote("a", 1, "a mug (red)", (0.2, 0.2, 0.6, 0.6), "target")
    return Annotation("1", (ImageNote(1, "target", SIZES[0]),), (note,), Query("Find it.", "refcoco", ("a",)))


ANNOTATIONS = {"group": group, "tracked": tracked, "nothing": nothing_to_find, "two": two_answers, "one": one_image}


@pytest.mark.parametrize("make", ANNOTATIONS.values(), ids=ANNOTATIONS)
@pytest.mark.parametrize("style", ALL.values(), ids=ALL)
def test_a_true_annotation_makes_a_trajectory_that_reads_back(make, style):
    for seed in range(2):
        made = trajectory(make(), style, seed=seed)
        if make is two_answers and not style.names_image:
            assert made.rule is Rule.FORMAT
            continue
        assert isinstance(made, Trajectory), made
        parsed = parse(made.text, style.grammar, made.target.sizes)
        assert parsed.think == made.think
        assert not parsed.defects
        assert len(parsed.claims) == len(made.target.claims)
        if not style.think_boxes:
            assert "[" not in made.think


def near(said, meant):
    if isinstance(said, Claim) and isinstance(meant, Claim) and said.box and meant.box:
        far = max(abs(a - b) for a, b in zip(said.box.corners, meant.box.corners, strict=True))
        return far < 0.003 and replace(said, box=None) == replace(meant, box=None)
    if isinstance(said, RelationClaim) and isinstance(meant, RelationClaim):
        ends = ((said.subject, meant.subject), (said.object, meant.object))
        return said.predicate == meant.predicate and all(near(*end) for end in ends)
    return said == meant


OBJECTS = [
    Claim(1, Box(0.1, 0.2, 0.3, 0.4), label='a "b" [c] dog, in the first image'),
    Claim(2, Box(0.1, 0.25, 0.35, 0.45)),
    Claim(3, label="dog"),
    Claim(3),
    Claim(2, Box(0, 0, 1, 1), label="truck (left) ⟪卡车⟫ <box>"),
]


@pytest.mark.parametrize("style", [ALL["mig"], ALL["json"], ALL["qwen25_json"], ALL["kimi_vl"]])
def test_every_claim_reads_back_from_every_way_to_write_it(style):
    relations = [RelationClaim(a, p, b) for p in BETWEEN for a in (OBJECTS[0], OBJECTS[1], 1) for b in (*OBJECTS, 2)]
    roles = [ImageClaim(image, role) for image in (1, 3) for role in AROUND]
    for number, claim in enumerate([*OBJECTS, *roles, *relations]):
        for seed in range(2):
            said = claim_text.write_claim(claim, style, SIZES, random.Random(2 * number + seed))
            for text in (said, f"So {said}.", f"{said[0].upper()}{said[1:]}, as can be seen."):
                ((back, (start, end)),) = claim_text.read_claims(text, style, SIZES)
                assert near(back, claim), text
                assert text[start:end].lower() == said.lower()


def test_phrases_say_one_thing_each():
    assert set(BETWEEN) == set(PREDICATES)
    every = [phrase for phrases_ in BETWEEN.values() for phrase in phrases_]
    every += [pair for pairs in AROUND.values() for pair in pairs]
    assert len(every) == len(set(every))


def test_templates_claim_nothing_by_themselves():
    prose = [form for forms in SENTENCES.values() for form in forms]
    prose += [opener for by_kind in OPENERS.values() for openers in by_kind.values() for opener in openers]
    assert set(OPENERS) == {*TASKS, ""}
    for text in prose:
        consistency_checks.check_prose(text.replace("{}", ""), [], 0)
        assert not any(leak in text.lower() for leak in LEAKS)
        assert not DENIALS & set(re.findall("[a-z]+", text.lower()))


@pytest.mark.parametrize("task", TASKS)
def test_a_seed_gives_the_same_text_and_seeds_give_many(task):
    annotation = replace(group(), query=replace(group().query, task=task))
    texts = [trajectory(annotation, seed=seed).text for seed in range(30)]
    assert texts == [trajectory(annotation, seed=seed).text for seed in range(30)]
    assert len(set(texts)) > 25


def broken(name):
    made = group()
    truck, dog = made.objects
    return {
        "inverted": replace(made, objects=(replace(truck, box=(0.5, 0.378, 0.447, 0.621)), dog)),
        "outside": replace(made, objects=(replace(truck, box=(0.2, 0.378, 1.048, 0.621)), dog)),
        "no box": replace(made, objects=(replace(truck, box=None), dog)),
        "answer in a distractor": replace(made, objects=(replace(truck, image=1), dog)),
        "distractor with the label": replace(made, objects=(truck, replace(dog, label="White Truck"))),
        "one file twice": replace(made, images=(replace(made.images[0], file="2.jpg"), *made.images[1:])),
        "a mark for an image": replace(made, query=replace(made.query, text="<image>Find it.")),
        "a label that is such a mark": replace(made, objects=(truck, replace(dog, label="<image>"))),
        "sides": replace(
            made,
            objects=(*made.objects, ObjectNote("car", 2, "car", (0.6, 0.4, 0.8, 0.6))),
            relations=(Relation("truck", "right_of", "car"),),
        ),
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        "inverted",
        "outside",
        "no box",
        "answer in a distractor",
        "distractor with the label",
        "one file twice",
        "a mark for an image",
        "a label that is such a mark",
        "sides",
    ],
)
def test_notes_that_cannot_be_true_are_rejected(name):
    made = trajectory(broken(name))
    assert (made.rule, made.id, made.task) == (Rule.ANNOTATION, "g", "group_grounding")
    assert made.reason


def whole(annotation):
    """A trajectory that has all five steps."""
    return next(made for seed in range(50) if len((made := trajectory(annotation, seed=seed)).steps) == 5)


def tampered(change, annotation=None):
    """What the trace check says when one step of a true trajectory is another."""
    annotation = annotation or group()
    steps = [change(step) for step in whole(annotation).steps]
    read = [claim_text.read_claims(step.text, STYLES["mig"], annotation.sizes) for step in steps]
    consistency_checks.check_trace(steps, read, annotation, STYLES["mig"])


def claims_and_text(kind, text, *claims):
    return lambda step: Step(kind, text, claims) if step.kind == kind else step


TAMPERED = {
    "another image in the text": (lambda s: replace(s, text=s.text.replace("Image-2", "Image-3")), Rule.CLAIMS),
    "another box in the text": (lambda s: replace(s, text=s.text.replace("241", "141")), Rule.CLAIMS),
    "a relation that nobody noted": (
        claims_and_text(
            "check",
            "Image-1 is a crop of Image-2.",
            RelationClaim(1, "crop_of", 2),
        ),
        Rule.UNSUPPORTED,
    ),
    "a box that nobody noted": (
        claims_and_text(
            "check", 'It is "dog" [1, 2, 30, 40] in Image-3.', Claim(3, Box(0.001, 0.002, 0.03, 0.04), label="dog")
        ),
        Rule.UNSUPPORTED,
    ),
    "a role that an image does not have": (
        claims_and_text("check", "Image-1 must hold the answer.", ImageClaim(1, "target")),
        Rule.UNSUPPORTED,
    ),
    "an image in the prose": (lambda s: replace(s, text=s.text + " The second image is nice."), Rule.UNSUPPORTED),
    "a number in the prose": (lambda s: replace(s, text="At 100 or so. " + s.text), Rule.UNSUPPORTED),
    "a denial in the prose": (lambda s: replace(s, text="I doubt this. " + s.text), Rule.UNSUPPORTED),
    "an image named in passing": (lambda s: replace(s, text=s.text + " I like Image-1."), Rule.UNSUPPORTED),
    "no route": (claims_and_text("route", "Well then."), Rule.MISSING),
    "a distractor left out": (claims_and_text("compare", "Well then."), Rule.MISSING),
    "a phrase of one who was told": (lambda s: replace(s, text="As annotated. " + s.text), Rule.LEAK),
}


@pytest.mark.parametrize(("change", "rule"), TAMPERED.values(), ids=TAMPERED)
def test_a_trace_that_is_not_true_is_rejected_by_its_rule(change, rule):
    tampered(lambda step: step)
    with pytest.raises(RuleError) as caught:
        tampered(change)
    assert caught.value.rule is rule


def test_the_answer_may_not_stand_in_the_first_step():
    annotation = group()
    steps = list(whole(annotation).steps)
    steps = [steps[2], *steps[:2], *steps[3:]]
    read = [claim_text.read_claims(step.text, STYLES["mig"], annotation.sizes) for step in steps]
    with pytest.raises(RuleError) as caught:
        consistency_checks.check_trace(steps, read, annotation, STYLES["mig"])
    assert caught.value.rule is Rule.LEAK


def test_the_box_may_not_come_before_its_image_is_named():
    annotation = group()
    steps = list(whole(annotation).steps)
    steps[2], steps[3] = steps[3], steps[2]
    read = [claim_text.read_claims(step.text, STYLES["mig"], annotation.sizes) for step in steps]
    with pytest.raises(RuleError, match="before Image-2 is named") as caught:
        consistency_checks.check_trace(steps, read, annotation, STYLES["mig"])
    assert caught.value.rule is Rule.MISSING


def test_a_budget_a_duplicate_and_a_size_that_is_lacking_are_rejected():
    assert build([group()], budget=20)[0].rule is Rule.LENGTH
    with pytest.raises(ValueError, match="budget must be"):
        build([group()], budget=0)
    assert [one.rule for one in build([group(), replace(group(), id="other")])[1:]] == [Rule.DUPLICATE]
    short = len(trajectory(group()).text) - 1
    one, other = build([group(), replace(group(), id="other 3")], budget=short, tokens=len)
    assert (one.rule, type(other)) == (Rule.LENGTH, Trajectory)
    without = replace(group(), images=tuple(replace(image, size=None) for image in group().images))
    assert build([without], ALL["qwen25_json"])[0].rule is Rule.ANNOTATION


def test_one_object_under_two_ids_is_no_answer_of_two():
    truck = group().objects[0]
    again = replace(group(), objects=(*group().objects, replace(truck, id="again")))
    assert trajectory(replace(again, query=replace(again.query, answer=("truck", "again")))).rule is Rule.ANNOTATION


@pytest.mark.parametrize("seed", range(5))
def test_where_there_is_nothing_to_find_no_step_finds_it(seed):
    made = trajectory(nothing_to_find(), seed=seed)
    assert [step.kind for step in made.steps] == ["look", "compare"]


def test_a_box_that_rounding_spoils_is_not_taught():
    small = replace(group().objects[0], box=(0.1, 0.1, 0.1004, 0.1004))
    assert trajectory(replace(group(), objects=(small, group().objects[1]))).rule is Rule.ANSWER


def test_the_official_scorer_would_take_a_box_of_the_reasoning_if_it_were_written_as_the_answer_is():
    made = trajectory(group())
    assert official_box(made.text) == (0.241, 0.378, 0.447, 0.621)
    changed = made.text.replace("[241, 378, 447, 621]", "(100,200),(300,400)")
    assert official_box(changed) == (0.1, 0.2, 0.3, 0.4)


def test_rewards_without_teeth_are_found_out(monkeypatch):
    from mirg_rewards.data.trajectories import mutation_checks

    for name, blind in {
        "image_reward": lambda answers, targets: (answers.defects == answers.defects).float(),
        "format_reward": lambda answers, targets: (answers.defects == answers.defects).float(),
    }.items():
        with monkeypatch.context() as patched:
            patched.setattr(mutation_checks, name, blind)
            assert trajectory(group()).rule is Rule.MUTATION


def test_an_annotation_goes_through_json_and_back():
    for make in ANNOTATIONS.values():
        assert Annotation.from_json(make().to_json()) == make()


def test_an_annotation_whose_notes_do_not_hang_together_is_refused():
    with pytest.raises(ValueError, match="numbered 1, 2, 3"):
        group(images=group().images[1:])
    with pytest.raises(ValueError, match="object's id"):
        group(relations=(Relation("truck", "left_of", "car"),))
    with pytest.raises(ValueError, match="each object once"):
        group(query=replace(group().query, answer=("truck", "truck")))
    with pytest.raises(ValueError, match="predicate"):
        Annotation.from_json(tracked().to_json().replace("next_frame", "eats"))


@hypothesis.given(
    label=st.one_of(
        st.text(max_size=40),
        st.sampled_from(["</think>", "Image-2", "not in the first image", '"', "\\", "[1, 2, 3, 4]"]),
    ),
    other=st.text(max_size=20),
    corners=st.tuples(*[st.floats(0, 1)] * 4),
    name=st.sampled_from(sorted(ALL)),
    seed=st.integers(0, 1000),
)
def test_whatever_is_noted_the_result_is_true_or_a_rejection(label, other, corners, name, seed):
    made = group()
    truck, dog = made.objects
    annotation = replace(made, objects=(replace(truck, label=label, box=corners), replace(dog, label=other)))
    result = build([annotation], ALL[name], seed=seed)[0]
    if isinstance(result, Trajectory):
        (claim,) = parse(result.text, ALL[name].grammar, SIZES).claims
        assert claim.image == 2 or not ALL[name].names_image
        assert max(abs(a - b) for a, b in zip(claim.box.corners, corners, strict=True)) < 0.03
    else:
        assert result.reason
