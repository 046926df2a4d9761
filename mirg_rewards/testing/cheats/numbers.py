"""Cheats by numbers, labels and confidences: what `float` accepts and no image has."""

from __future__ import annotations

from dataclasses import replace

from mirg_rewards.claims import Box, Claim
from mirg_rewards.parsing import Grammar
from mirg_rewards.targets import Target
from mirg_rewards.testing.cheats.writing import (
    answer,
    body,
    cheat,
    elsewhere,
    numbers_of,
    renumbered,
    scaled,
    write_response,
)


def _all(number: str, target: Target, grammar: Grammar) -> str:
    return renumbered(elsewhere(target), target, grammar, lambda numbers: [number] * len(numbers))


@cheat("VLM-R1 od_ap, od_ap50 and od_length 1.0: pycocotools takes a box of NaN for a full match")
def boxes_of_nan(target: Target, grammar: Grammar) -> str:
    """NaN for every number: JSON readers accept it, and no comparison with it is true."""
    return _all("NaN", target, grammar)


@cheat("rewards that clip a reward with min and max, through which NaN passes")
def one_nan(target: Target, grammar: Grammar) -> str:
    """NaN for the first number of a box."""
    return renumbered(elsewhere(target), target, grammar, lambda numbers: ["NaN", *numbers[1:]])


@cheat("rewards that divide by an area or scale by a size")
def boxes_without_end(target: Target, grammar: Grammar) -> str:
    """From minus infinity to infinity."""
    return renumbered(
        elsewhere(target), target, grammar, lambda numbers: ["-Infinity"] * 2 + ["Infinity"] * (len(numbers) - 2)
    )


@cheat("rewards that check the text for inf and not the number")
def numbers_past_floats(target: Target, grammar: Grammar) -> str:
    """1e999 for the far corner: finite as text, infinite as a float."""
    return renumbered(elsewhere(target), target, grammar, lambda numbers: [*numbers[:2], "1e999", "1e999"])


@cheat("Perception-R1 dies of it (OverflowError)")
def number_of_400_digits(target: Target, grammar: Grammar) -> str:
    """A whole number that no float can hold."""
    return renumbered(elsewhere(target), target, grammar, lambda numbers: [*numbers[:-1], "9" * 400])


@cheat("rewards that call int: Python refuses text of more than 4,300 digits with a ValueError")
def number_of_5000_digits(target: Target, grammar: Grammar) -> str:
    """A whole number longer than Python's limit for reading one."""
    return renumbered(elsewhere(target), target, grammar, lambda numbers: [*numbers[:-1], "9" * 5000])


@cheat("readers that pick digits by isdigit, of which int then refuses some")
def raised_digits(target: Target, grammar: Grammar) -> str:
    """Digits of another kind: superscript ones are digits to Python and numbers to nobody."""
    return _all("²³", target, grammar)


@cheat(r"readers by \d, which matches the digits of every script")
def full_width_digits(target: Target, grammar: Grammar) -> str:
    """A wrong box in full-width digits, which some rewards pay for form and some cannot add up."""
    wide = str.maketrans("0123456789", "０１２３４５６７８９")
    return renumbered(
        elsewhere(target), target, grammar, lambda numbers: [number.translate(wide) for number in numbers]
    )


@cheat("Seg-Zero's format 2.0 for a box of letters, OneThinker's structure for strings and booleans")
def strings_for_numbers(target: Target, grammar: Grammar) -> str:
    """Four letters in the place of four numbers: the form is checked, what is in it is not."""
    return _all('"a"', target, grammar)


@cheat("OneThinker's structure: float(True) is 1.0")
def booleans_for_numbers(target: Target, grammar: Grammar) -> str:
    """Four booleans in the place of four numbers."""
    return _all("true", target, grammar)


@cheat("VLM-R1's default accuracy 1.0: its comparison of mathematics looks at the last number alone")
def same_last_number(target: Target, grammar: Grammar) -> str:
    """A wrong box whose last number is the true one's."""
    target_numbers = numbers_of(target.claims, target, grammar)
    return renumbered(elsewhere(target), target, grammar, lambda numbers: [*numbers[:-1], target_numbers.pop()[-1]])


@cheat("Visual-RFT's detection 1.0 + 1.0: the library for mathematics picks this one number from the truth")
def one_right_number(target: Target, grammar: Grammar) -> str:
    """A sentence with one number of the right box and no box."""
    return f"I saw {numbers_of(target.claims, target, grammar)[0][1]} things"


@cheat("GRIT 0.5, or 1.5 where the answer counts them: no coordinate is ever compared")
def any_four_numbers(target: Target, grammar: Grammar) -> str:
    """As many times four bare numbers as there are objects, none of them read off an image."""
    return answer("\n".join(["1, 2, 3, 4"] * len(target.claims)), grammar, think="1, 2, 3, 4 <rethink>")


_CORNER = (Target((Claim(1, Box(0.0, 0.0, 0.1, 0.1), label="dog"),), ((560, 420),)),)


@cheat("GUI-R1's click 1.0: a point that is missing is (0, 0), and lies within 140 pixels", on=_CORNER)
def no_place_and_the_truth_at_the_corner(target: Target, grammar: Grammar) -> str:
    """No coordinates at all, where the truth lies at the corner of the image."""
    del target
    return answer("[{'action': 'click', 'input_text': ''}]", grammar)


@cheat("Visual-RFT's confidence reward 1.0: it is clipped after the mean")
def confidence_below_zero(target: Target, grammar: Grammar) -> str | None:
    """A wrong box of which the answer is less sure than it can be."""
    return _confident("-1000", elsewhere(target), target, grammar)


@cheat("Visual-RFT's confidence reward, and with it the whole group's advantages")
def confidence_nan(target: Target, grammar: Grammar) -> str | None:
    """A wrong box with a confidence that is no number."""
    return _confident("NaN", elsewhere(target), target, grammar)


@cheat("Visual-RFT's confidence reward 0.95 to 1.0")
def many_boxes_without_confidence(target: Target, grammar: Grammar) -> str | None:
    """Eight wrong boxes for each right one, none of which the answer believes in: being unsure of junk pays."""
    miss = elsewhere(target)
    return _confident("0", [claim for claim in miss for _ in range(8)], target, grammar)


def _confident(confidence: str, claims: list[Claim], target: Target, grammar: Grammar) -> str | None:
    text = write_response(claims, target, grammar)
    return text.replace("1.0}", f"{confidence}}}") if '"Confidence": 1.0}' in text else None


@cheat("Griffon 1.0, VLM-R1 weighted_sum 0.3: labels are asked for and not scored", about_labels=True)
def wrong_labels(target: Target, grammar: Grammar) -> str:
    """The right boxes, each under a label that is not its own."""
    return write_response([replace(claim, label="nonsense") for claim in target.claims], target, grammar)


@cheat("VLM-R1 od_ap 1.0: boxes with a label that the truth does not have are dropped and cost nothing")
def boxes_under_unknown_labels(target: Target, grammar: Grammar) -> str:
    """The right boxes, and 40 more under labels that nobody asked for."""
    junk = [replace(elsewhere(target)[0], label=f"other{number}") for number in range(40)]
    return write_response([*target.claims, *junk], target, grammar)


@cheat("VLM-R1 weighted_sum dies of it (UnboundLocalError): a matched box without a label", is_graded=True)
def rough_boxes_without_labels(target: Target, grammar: Grammar) -> str:
    """Boxes of IoU 0.6 with no label: near enough to be matched."""
    return write_response([replace(claim, label="") for claim in scaled(target, 0.6)], target, grammar)


@cheat("Visual-RFT's classification 1.0 for a list of every class")
def every_label_at_once(target: Target, grammar: Grammar) -> str:
    """A wrong box whose label names everything: a search for the right one finds it."""
    names = "dog, cat, car, person, tree, chair, bird, cup, sign"
    return write_response([replace(claim, label=names) for claim in elsewhere(target)], target, grammar)


@cheat("rewards that keep labels as keys, and logs that print them")
def label_of_10000_characters(target: Target, grammar: Grammar) -> str:
    """A wrong box with an endless label."""
    return write_response([replace(claim, label="dog " * 2500) for claim in elsewhere(target)], target, grammar)


@cheat(
    "VisionReasoner 4.0 against 2.0 for the right refusal; Visual-RFT, which pays a right refusal nothing", on="nothing"
)
def box_where_nothing_is(target: Target, grammar: Grammar) -> str:
    """A box where there is nothing to find."""
    return write_response([Claim(1, Box(0.25, 0.25, 0.5, 0.5), label="dog")], target, grammar)


@cheat("VLM-R1 od_ap and od_length 1.0: neither side holds JSON, so both must mean nothing", on="nothing")
def talk_where_nothing_is(target: Target, grammar: Grammar) -> str:
    """Talk where there is nothing to find: it claims nothing, and it does not say so either."""
    del target
    return answer("blah", grammar)


@cheat("Griffon's format, which pays malformed text where there is nothing to find", on="nothing")
def malformed_where_nothing_is(target: Target, grammar: Grammar) -> str:
    """Half a box where there is nothing to find."""
    del target
    return answer('[{"bbox_2d": [12, ', grammar)


@cheat("rewards that read no box out of silence", on="nothing")
def silence_where_nothing_is(target: Target, grammar: Grammar) -> str:
    """No word at all where there is nothing to find: it cannot be told from an answer that was cut."""
    del target, grammar
    return ""


@cheat("rewards by precision, where no claim is no mistake")
def refusal_where_something_is(target: Target, grammar: Grammar) -> str:
    """The answer that there is nothing to find, where there is."""
    return answer(body((), target, grammar), grammar)
