"""Each cheat pays under a reward with the fault that it is made for, and is a hole there."""

import functools
import importlib.util
import json
import math
import re
import sys
from pathlib import Path

import pytest

from mirg_rewards import GRAMMARS, Target, Weighted, format_reward, image_reward, object_reward, parse, presets
from mirg_rewards.testing.audit import audit
from mirg_rewards.testing.cheats import CHEATS

_SPEC = importlib.util.spec_from_file_location("faults", Path(__file__).with_name("faults.py"))
faults = sys.modules.setdefault("faults", importlib.util.module_from_spec(_SPEC))
if not hasattr(faults, "CAUGHT_BY_AUDIT"):
    _SPEC.loader.exec_module(faults)

SOUND = presets.mirg_rl()
FAULTS = {}


def caught_by(*cheats, grammar="mirg"):
    """A reward of one text and its target, and the cheats that must be holes in it."""

    def register(reward):
        @functools.wraps(reward)
        def of_each(completions, target, **columns):
            rows = zip(completions, map(Target.from_json, target), strict=True)
            return [reward(text, truth) for text, truth in rows]

        del of_each.__wrapped__  # its signature is what the audit sees
        FAULTS[reward.__name__] = (of_each, cheats, GRAMMARS[grammar])
        return reward

    return register


def iou(one, other):
    x = min(one.x2, other.x2) - max(one.x1, other.x1)
    y = min(one.y2, other.y2) - max(one.y1, other.y1)
    shared = max(x, 0) * max(y, 0)
    return shared / (one.area + other.area - shared)


def read(text, target, grammar=GRAMMARS["mirg"]):
    return [claim for claim in parse(text, grammar, target.sizes).claims if claim.box]


def sound(text, target):
    return SOUND([text], [target]).total.item()


def json_of(text):
    return json.loads(re.search(r"<answer>(.*)</answer>", text, re.DOTALL)[1])


def best(claims, target, blind=False):
    return [
        max((iou(claim.box, true.box) for claim in claims if blind or claim.image == true.image), default=0.0)
        for true in target.claims
    ]


@caught_by("wrong image", "boxes exchanged between images", "boxes of all images in one", "image left unsaid")
def looks_at_no_image(text, target):
    claims = read(text, target)
    return sum(best(claims, target, blind=True)) / max(len(claims), len(target.claims), 1)


@caught_by("best box first", "ninety boxes behind", "one of several", "near copies", "boxes under unknown labels")
def reads_the_first_box(text, target):
    return max(best(read(text, target)[:1], target), default=0.0)


@caught_by("best box last", "one of several")
def reads_the_last_box(text, target):
    return max(best(read(text, target)[-1:], target), default=0.0)


@caught_by("same box twenty times", "boxes of every size", "same box in every image", "a box in the reference too")
def is_a_recall(text, target):
    found = best(read(text, target), target)
    return sum(found) / len(found) if found else 1.0


@caught_by("one of several", "refusal where something is")
def is_a_precision(text, target):
    claims = read(text, target)
    flipped = (
        Target(tuple(claims), target.sizes)
        if all((c.image or 0) in range(1, len(target.sizes) + 1) for c in claims)
        else None
    )
    return (
        sum(best(target.claims, flipped)) / len(claims) if claims and flipped and not bad(claims) else float(not claims)
    )


def bad(claims):
    return any(claim.box.area <= 0 or min(claim.box.corners) < 0 or max(claim.box.corners) > 1 for claim in claims)


@caught_by("every image and a miss", "every image and no box", "same box in every image", "right image and no box")
def asks_whether_the_right_image_is_among_them(text, target):
    images = {claim.image for claim in parse(text, GRAMMARS["mirg"], target.sizes).claims}
    return float({claim.image for claim in target.claims} <= images)


@caught_by("right box in halves")
def measures_the_union(text, target):
    claims = read(text, target)
    covered = sum(
        min(1.0, sum(inside(c.box, true.box) for c in claims if c.image == true.image)) for true in target.claims
    )
    return covered / max(len(target.claims), 1)


def inside(box, true):
    x = min(box.x2, true.x2) - max(box.x1, true.x1)
    y = min(box.y2, true.y2) - max(box.y1, true.y1)
    return max(x, 0) * max(y, 0) / true.area


@caught_by("whole image box", "box beyond the image")
def asks_only_that_the_truth_lies_within(text, target):
    return measures_the_union(text, target)


@caught_by("one box for several")
def asks_only_what_lies_in_the_named_images(text, target):
    claims = read(text, target)
    named = [true for true in target.claims if true.image in {claim.image for claim in claims}]
    return sum(max(inside(c.box, t.box) for c in claims if c.image == t.image) for t in named) / max(len(named), 1)


@caught_by("speck in the middle")
def measures_centres(text, target):
    claims = read(text, target)
    if len(claims) != len(target.claims) or not claims:
        return float(len(claims) == len(target.claims))
    far = [
        abs(a.box.x1 + a.box.x2 - b.box.x1 - b.box.x2) + abs(a.box.y1 + a.box.y2 - b.box.y1 - b.box.y2)
        for a, b in zip(claims, target.claims, strict=True)
    ]
    return 1 - min(1.0, sum(far) / len(far))


@caught_by("two answers", "answer within the thinking")
def reads_the_first_answer(text, target):
    found = re.search(r"<answer>(.*?)</answer>", text, re.DOTALL)
    return sound(f"<think></think><answer>{found[1]}</answer>", target) if found else 0.0


@caught_by("answer within an answer", "two answers")
def reads_up_to_the_next_tag(text, target):
    found = re.search(r"<answer>([^<]*)<", text)
    return sound(f"<think></think><answer>{found[1]}</answer>", target) if found else 0.0


@caught_by(
    "boxes only in the thinking",
    "right boxes thought wrong ones said",
    "right boxes before the thinking",
    "right boxes in a comment",
    "right boxes in a label",
    "a list behind the box",
)
def reads_the_first_boxes_anywhere(text, target):
    found = re.findall(r"\[(\d+), ?(\d+), ?(\d+), ?(\d+)\]", text) + re.findall(r"\[(\d+),(\d+),(\d+),(\d+)\] ?$", text)
    boxes = [list(map(int, box)) for box in found]
    true = [[round(1000 * number) for number in claim.box.corners] for claim in target.claims]
    return float(bool(true) and all(box in boxes for box in true))


@caught_by("right boxes behind the answer", "a list behind the box", "best box last")
def reads_the_last_boxes_anywhere(text, target):
    boxes = [list(map(int, box)) for box in re.findall(r"\[(\d+), ?(\d+), ?(\d+), ?(\d+)\]", text)]
    true = [[round(1000 * number) for number in claim.box.corners] for claim in target.claims]
    return float(bool(true) and boxes[-len(true) :] == true)


@caught_by("box said twice", "image said twice")
def keeps_the_first_of_two_keys(text, target):
    try:
        found = re.search(r"<answer>(.*)</answer>", text, re.DOTALL)[1]
        items = json.loads(found, object_pairs_hook=lambda pairs: dict(pairs[::-1]))
        kept = [{key: item[key] for key in ("image", "bbox_2d")} for item in items]
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0.0
    return sound(f"<think></think><answer>{json.dumps(kept)}</answer>", target)


@caught_by("keys of the reward")
def adds_what_the_answer_says_of_itself(text, target):
    return sound(text, target) + sum(map(int, re.findall(r'"score": (\d+)', text)))


@caught_by("tags in any order", "tags in a label", "echo of the prompt", "same answer three times", "constant box")
def pays_for_tags_that_are_there(text, target):
    tags = all(tag in text for tag in ("<think>", "</think>", "<answer>", "</answer>"))
    return float(tags and bool(re.search(r"\d+, \d+", text)))


@caught_by("thinking that never ends")
def needs_no_closing_tag(text, target):
    return float(bool(re.search("<think>(.*?)<answer>(.*?)</answer>", text))) * (2 - ("</think>" in text))


@caught_by("empty parts", "refusal where something is")
def pays_for_an_empty_answer(text, target):
    return float("<answer></answer>" in text or "<answer>[]" in text) or sound(text, target)


@caught_by("thinking alone", "one angle bracket")
def takes_any_bracket_for_form(text, target):
    return 1.0 if text.startswith("<") and "answer" not in text else 0.5 * sound(text, target)


@caught_by("praise of itself")
def is_a_judge_that_believes(text, target):
    return 1.0 if "this answer is correct" in text else sound(text, target)


@caught_by("long thinking", "repetition without full stops", "label of 10000 characters", "no word")
def pays_for_length_and_for_none(text, target):
    return 1.0 if len(text) > 500 or not text else sound(text, target)


@caught_by("boxes of nan", "one nan", "boxes without end", "numbers past floats", "number of 400 digits")
def lets_through_what_is_no_number(text, target):
    try:
        numbers = json_of(text)[0]["bbox_2d"]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return 0.0
    return math.nan if not all(isinstance(n, int) and abs(n) < 1e300 for n in numbers) else sound(text, target)


@caught_by("boxes of nan", "booleans for numbers", "strings for numbers")
def checks_that_there_are_four(text, target):
    try:
        items = json_of(text)
        return sum(len(item["bbox_2d"]) == 4 for item in items) / len(items)
    except (ValueError, TypeError, KeyError, ZeroDivisionError, RecursionError):
        return 0.0


@caught_by("number of 5000 digits")
def calls_int_on_any_digits(text, target):
    [int(number) for number in re.findall(r"[0-9]+", text)]
    return sound(text, target)


@caught_by("raised digits")
def calls_int_on_what_is_a_digit(text, target):
    [int(char) for char in text if char.isdigit()]
    return sound(text, target)


@caught_by("full width digits")
def counts_digits_of_every_script(text, target):
    return float(bool(re.search(r"[０-９]", text))) or sound(text, target)


@caught_by("inverted box", "flipped box of the same area", "box without area")
def divides_by_a_signed_area(text, target):
    try:
        boxes = [item["bbox_2d"] for item in json_of(text)]
        [1 / ((x2 - x1) * (y2 - y1) + max(0, (x2 - x1) * (y1 - y2)) if x1 < x2 else 0) for x1, y1, x2, y2 in boxes]
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0.0
    return sound(text, target)


@caught_by("touching box")
def counts_edges_as_overlap(text, target):
    claims = read(text, target)
    touch = [
        any(
            c.box.x1 <= t.box.x2 and t.box.x1 <= c.box.x2 and c.box.y1 <= t.box.y2 and t.box.y1 <= c.box.y2
            for c in claims
        )
        for t in target.claims
    ]
    return float(all(touch))


@caught_by("numbers of another space")
def guesses_the_space(text, target):
    numbers = [float(number) for number in re.findall(r"\d+\.\d+", text)]
    if numbers and max(numbers) <= 1:
        text = re.sub(r"\d+\.\d+", lambda match: str(round(1000 * float(match[0]))), text)
    return sound(text, target)


@caught_by("numbers in another order")
def takes_the_order_that_fits(text, target):
    turned = re.sub(r"\[(\d+), (\d+), (\d+), (\d+)\]", r"[\2, \1, \4, \3]", text)
    return max(sound(text, target), sound(turned, target))


@caught_by("eight numbers in one box")
def takes_the_first_four_numbers(text, target):
    return sound(re.sub(r"(\[\d+, \d+, \d+, \d+), [\d, ]+\]", r"\1]", text), target)


@caught_by(
    "image past the last",
    "image zero",
    "negative image",
    "several images at once",
    "image number that begins like another",
    "images counted from zero",
)
def takes_any_image_for_the_right_one(text, target):
    right = iter([str(claim.image) for claim in target.claims] * 40)
    return sound(re.sub(r'"image": (-?\d+|\[[^\]]*\])', lambda _: f'"image": {next(right, 1)}', text), target)


@caught_by("same last number", "one right number")
def compares_one_number(text, target):
    if not target.claims:
        return 0.0
    true = {
        str(round(1000 * number)) for number in target.claims[-1].box.corners[1::2] + target.claims[0].box.corners[1::2]
    }
    return float(bool(true.intersection(re.findall(r"\d+", text))))


@caught_by("any four numbers")
def pays_for_four_numbers(text, target):
    return float(bool(re.search(r"\b\d+, \d+, \d+, \d+\b", text) and "bbox" not in text)) or sound(text, target)


@caught_by("no place and the truth at the corner")
def takes_no_place_for_the_corner(text, target):
    if (
        not re.search(r"\d", text)
        and target.claims
        and target.claims[0].box.x1 < 0.02
        and target.claims[0].box.y1 < 0.02
    ):
        return 1.0
    return sound(text, target)


@caught_by("wrong labels")
def wants_labels_and_scores_none(text, target):
    return sound(text, target) if '"label"' in text or not target.claims else 0.0


@caught_by("rough boxes without labels")
def needs_a_label_to_compare(text, target):
    if (
        "<answer>[{" in text
        and '"label"' not in text
        and re.search(r'"bbox_2d": \[\d+, \d+, \d+, \d+\]', text)
        and max(best(read(text, target), target), default=0) > 0.5
    ):
        raise UnboundLocalError("label")
    return sound(text, target) if '"label"' in text or not target.claims else 0.0


@caught_by("every label at once")
def searches_the_label_in_what_was_said(text, target):
    return float(all(claim.label in text for claim in target.claims)) * bool("label" in text and target.claims)


@caught_by("box where nothing is", "talk where nothing is", "malformed where nothing is", "silence where nothing is")
def takes_anything_for_nothing(text, target):
    return sound(text, target) if target.claims else 1.0


@caught_by("code in the answer")
def evaluates_the_answer(text, target):
    try:
        eval(re.search(r"<answer>(.*)</answer>", text, re.DOTALL)[1])  # noqa: S307 - the fault
    except Exception:  # noqa: BLE001 - whatever eval raises
        return 0.0
    return sound(text, target)


@caught_by("one letter", "a bare number", "an empty object", "a list of two numbers")
def pays_for_what_is_short(text, target):
    return 1.0 if len(text) < 45 and "<answer>" in text else sound(text, target)


@caught_by("half a character")
def writes_to_a_file_in_utf8(text, target):
    text.encode()
    return sound(text, target)


@caught_by("two thousand brackets", "five thousand nested lists")
def reads_json_and_catches_its_errors_alone(text, target):
    def depth(value):
        return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0

    def nested(left, at=0):
        return nested(left[1:], at + 1) if left[:1] == "[" else at

    nested(re.sub(r".*<answer>", "", text, flags=re.DOTALL))
    return sound(text, target)


@caught_by("confidence below zero", "many boxes without confidence", grammar="visual_rft")
def averages_confidences_as_they_are(text, target):
    said = [float(number) for number in re.findall(r'"Confidence": (-?[\d.]+)', text)]
    claims = read(text, target, GRAMMARS["visual_rft"])
    hits = [max(best([claim], target), default=0.0) > 0.5 for claim in claims]
    if len(said) != len(hits) or not said:
        return 0.0
    mean = sum(c if hit else 1 - c for c, hit in zip(said, hits, strict=True)) / len(said)
    return min(1.0, max(0.0, mean))


@caught_by("confidence nan", grammar="visual_rft")
def multiplies_by_the_confidence(text, target):
    said = re.findall(r'"Confidence": ([-\w.]+)', text)
    return math.nan if "NaN" in said else max(best(read(text, target, GRAMMARS["visual_rft"]), target), default=0.0)


@caught_by("every box of a grid")
def pays_for_every_box_that_meets_the_truth(text, target):
    return float(sum(value > 0 for claim in read(text, target) for value in best([claim], target)))


UNCAUGHT = {"just above one half", "just above seven tenths"}  # right in part: what a threshold pays on purpose


@pytest.mark.parametrize("name", FAULTS)
def test_the_cheats_that_are_meant_to_find_holes(name):
    reward, cheats, grammar = FAULTS[name]
    found = audit(reward, grammar=grammar, cheats={one: CHEATS[one] for one in cheats})
    # Under a reward that looks at no box, even IoU 0 is paid in full: that is what the audit says of it then.
    paid = [f for f in found.findings if f.is_hole or (found.is_blind and f.earned >= found.truth - 1e-6)]
    assert {finding.cheat.name for finding in paid} == set(cheats), str(found)
    assert not found.is_sound


def test_every_cheat_has_a_fault_that_it_finds():
    tried = {cheat for _, cheats, _ in FAULTS.values() for cheat in cheats}
    hostile = {name for name, cheat in CHEATS.items() if cheat.is_hostile}
    assert CHEATS.keys() - tried - hostile - UNCAUGHT == set()


PLANTED = {
    "image_ignored": "wrong image",
    "extra_boxes_are_free": "best box first",
    "best_of_two_answers": "two answers",
    "reads_think": "boxes only in the thinking",
}


@pytest.mark.parametrize("name", faults.CAUGHT_BY_AUDIT)
def test_planted_faults_are_found(name):
    fault = faults.CAUGHT_BY_AUDIT[name]
    cheats = fault.caught_by or (PLANTED[name],)
    found = audit(fault.subject, cheats={one: CHEATS[one] for one in cheats}, **fault.options)
    assert {hole.cheat.name for hole in found.holes} == set(cheats), str(found)


def test_a_sound_reward_of_the_same_making_has_no_hole():
    reward = Weighted({"format": (0.1, format_reward), "image": (0.3, image_reward), "object": (0.6, object_reward)})
    assert audit(reward).is_sound
