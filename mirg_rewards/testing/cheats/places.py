"""Cheats by boxes: too many, too large, copied, cut up, or just good enough."""

from __future__ import annotations

from mirg_rewards.claims import Claim
from mirg_rewards.parsing import Grammar
from mirg_rewards.targets import Target
from mirg_rewards.testing.cheats.writing import (
    body,
    cheat,
    elsewhere,
    moved,
    renumbered,
    scaled,
    shared,
    write_response,
    writes_boxes,
    zip_corners,
)

_WHOLE = (0.0, 0.0, 1.0, 1.0)


def _is_mostly_true(target: Target) -> bool:
    """True if a target box covers most of its image, so that the whole image is nearly right."""
    return any((x2 - x1) * (y2 - y1) > 0.5 for _, (x1, y1, x2, y2) in zip_corners(target))


def _is_good(predicted: Claim, target: Claim) -> bool:
    assert predicted.box is not None and target.box is not None  # noqa: PT018 - cheats get boxes only
    inside = shared(predicted.box.corners, target.box.corners)
    return inside > 0.5 * (predicted.box.area + target.box.area - inside)


def _junk(target: Target, count: int) -> list[Claim]:
    """So many small boxes in the image and of the label of the first true claim."""
    first = target.claims[0]
    at = [(step % 10 / 10, step // 10 % 10 / 10) for step in range(count)]
    return [moved(first, (x, y, x + 0.05, y + 0.05)) for x, y in at]


@cheat("Rex-Omni's box F1, where the label must only match; any reward that pays for form alone")
def constant_box(target: Target, grammar: Grammar) -> str:
    """The same small box in image 1 whatever is asked, in clean form: format farming."""
    return write_response([Claim(1, moved(target.claims[0], (0.4, 0.05, 0.6, 0.2)).box)], target, grammar)


@cheat("Seg-Zero 3/5 and VisionReasoner 5/7 with the right point, Visual-RFT's GIoU 1.01/2")
def whole_image_box(target: Target, grammar: Grammar) -> str | None:
    """A box around the whole image contains every object and every point."""
    if not writes_boxes(grammar) or _is_mostly_true(target):
        return None
    return write_response([moved(claim, _WHOLE) for claim in target.claims], target, grammar)


@cheat("rewards that clip what lies outside only after they have measured it")
def box_beyond_the_image(target: Target, grammar: Grammar) -> str | None:
    """Corners far outside the image on both sides, where areas and distances lose their meaning."""
    if not writes_boxes(grammar):
        return None
    miss = elsewhere(target)
    return renumbered(miss, target, grammar, lambda numbers: ["-999999"] * 2 + ["999999"] * (len(numbers) - 2))


@cheat("VLM-R1 rec, UniVG-R1, Perception-R1, Seg-Zero: they read the first box and no other")
def best_box_first(target: Target, grammar: Grammar) -> str:
    """The right boxes, then several wrong ones: only the first is looked at."""
    return write_response([*target.claims, *_junk(target, 5 * len(target.claims))], target, grammar)


@cheat("rewards that read the last box only, or keep the best")
def best_box_last(target: Target, grammar: Grammar) -> str:
    """Several wrong boxes, then the right ones: only the last, or the best, is looked at."""
    return write_response([*_junk(target, 5 * len(target.claims)), *target.claims], target, grammar)


@cheat("VLM-R1 od_ap and od_ap50 1.0, Griffon's precision and recall 1.0")
def ninety_boxes_behind(target: Target, grammar: Grammar) -> str:
    """The right boxes, then 90 more that a recall, or an average precision without scores, does not see."""
    return write_response([*target.claims, *_junk(target, 90)], target, grammar)


@cheat("Rex-Omni's box F1 1.0, VLM-R1 od_ap 1.0 and weighted_sum 0.86")
def same_box_twenty_times(target: Target, grammar: Grammar) -> str:
    """Each right box 20 times over: many-to-one matching pays every copy."""
    return write_response([claim for claim in target.claims for _ in range(20)], target, grammar)


@cheat("rewards that drop exact duplicates, or match many to one")
def near_copies(target: Target, grammar: Grammar) -> str:
    """Each right box and three copies moved by a hundredth, which no check for duplicates takes for the same."""
    steps = (0.0, -0.01, 0.01, 0.02)
    pairs = [(claim, corners, step) for claim, corners in zip_corners(target) for step in steps]
    return write_response(
        [moved(claim, (x1 + step, y1, min(x2 + step, 1.0), y2)) for claim, (x1, y1, x2, y2), step in pairs],
        target,
        grammar,
    )


@cheat("rewards that take the best of many boxes for each true one")
def every_box_of_a_grid(target: Target, grammar: Grammar) -> str:
    """All 16 boxes of a grid in each right image: one of them is bound to hit."""
    images = dict.fromkeys(claim.image for claim in target.claims)
    cells = [(x / 4, y / 4, (x + 1) / 4, (y + 1) / 4) for y in range(4) for x in range(4)]
    label = target.claims[0].label
    claims = [moved(Claim(image, label=label), cell) for image in images for cell in cells]
    return write_response(claims, target, grammar)


@cheat("recalls by best IoU: one of many sizes is always close")
def boxes_of_every_size(target: Target, grammar: Grammar) -> str:
    """Twelve boxes, one within the other, around the middle of each right box."""
    claims = []
    for claim, (x1, y1, x2, y2) in zip_corners(target):
        for share in range(1, 13):
            x, y = (x2 - x1) * (0.5 - share / 20), (y2 - y1) * (0.5 - share / 20)
            claims.append(moved(claim, (max(x1 + x, 0.0), max(y1 + y, 0.0), min(x2 - x, 1.0), min(y2 - y, 1.0))))
    return write_response(claims, target, grammar)


@cheat("rewards that measure the union of all boxes, or let the first of two equal pairs win twice")
def right_box_in_halves(target: Target, grammar: Grammar) -> str | None:
    """Each right box cut into a left and a right half: a tie, and together they cover all."""
    if not writes_boxes(grammar):
        return None
    halves = []
    for claim, (x1, y1, x2, y2) in zip_corners(target):
        middle = (x1 + x2) / 2
        halves += [moved(claim, (x1, y1, middle, y2)), moved(claim, (middle, y1, x2, y2))]
    return write_response(halves, target, grammar)


@cheat("Rex-Omni 0.82 for one box between two objects; every recall that matches many to one")
def one_box_for_several(target: Target, grammar: Grammar) -> str | None:
    """One box around all the objects of an image in place of one for each."""
    first = target.claims[0]
    together = [corners for claim, corners in zip_corners(target) if claim.image == first.image]
    if len(together) < 2 or not writes_boxes(grammar):
        return None
    x1, y1, x2, y2 = zip(*together, strict=True)
    return write_response([moved(first, (min(x1), min(y1), max(x2), max(y2)))], target, grammar)


@cheat("OneThinker's spatial-temporal reward 1.3/1.5, Griffon's precision 1.0, every single-box reward")
def one_of_several(target: Target, grammar: Grammar) -> str | None:
    """The easiest of several objects alone: what is left out costs a precision nothing."""
    return write_response(target.claims[:1], target, grammar) if len(target.claims) > 1 else None


@cheat("Seg-Zero, VisionReasoner, AP at 0.5: all of the pay for half of the overlap", is_graded=True)
def just_above_one_half(target: Target, grammar: Grammar) -> str | None:
    """Boxes of IoU 0.52: a threshold at 0.5 pays them like the truth."""
    return write_response(scaled(target, 0.52), target, grammar) if writes_boxes(grammar) else None


@cheat("rewards with a threshold at 0.7", is_graded=True)
def just_above_seven_tenths(target: Target, grammar: Grammar) -> str | None:
    """Boxes of IoU 0.72: a threshold at 0.7 pays them like the truth."""
    return write_response(scaled(target, 0.72), target, grammar) if writes_boxes(grammar) else None


@cheat("rewards by the distance of corners or centres, which a tiny box at the right place meets")
def speck_in_the_middle(target: Target, grammar: Grammar) -> str | None:
    """A hundredth of a box in the middle of the right one: its centre is exact, its overlap is nothing."""
    if not writes_boxes(grammar):
        return None
    specks = []
    for claim, (x1, y1, x2, y2) in zip_corners(target):
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        specks.append(moved(claim, (x - 0.005, y - 0.005, x + 0.005, y + 0.005)))
    return write_response(specks, target, grammar)


@cheat("Visual-RFT's GIoU pays a degenerate box within the truth 1.0 of 2; +1-pixel IoU gives it an area")
def box_without_area(target: Target, grammar: Grammar) -> str | None:
    """Both corners on the middle of the right box: no area to be wrong by."""
    if not writes_boxes(grammar):
        return None
    middles = []
    for claim, (x1, y1, x2, y2) in zip_corners(target):
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        middles.append(moved(claim, (x, y, x + 0.05, y + 0.05)))
    return renumbered(middles, target, grammar, lambda numbers: [*numbers[:2], *numbers[:2]][: len(numbers)])


@cheat("VisionReasoner and VG-Refiner: with their +1 pixel, boxes that only touch overlap")
def touching_box(target: Target, grammar: Grammar) -> str | None:
    """A box that shares one edge with the right one, and no area."""
    if not writes_boxes(grammar):
        return None
    touching = []
    for claim, (x1, y1, x2, y2) in zip_corners(target):
        if x1 <= 0 and x2 >= 1:
            return None
        width = x2 - x1
        at = (max(x1 - width, 0.0), x1) if x1 > 1 - x2 else (x2, min(x2 + width, 1.0))
        touching.append(moved(claim, (at[0], y1, at[1], y2)))
    return write_response(touching, target, grammar)


@cheat("Visual-RFT's reasoning reward: 101 for a true box of a hundredth of the image")
def inverted_box(target: Target, grammar: Grammar) -> str | None:
    """The whole image from its last corner to its first: signed areas and hulls turn the sum around."""
    if not writes_boxes(grammar) or _is_mostly_true(target):
        return None
    whole = [moved(claim, _WHOLE) for claim in target.claims]
    return renumbered(whole, target, grammar, lambda numbers: [*numbers[2:], *numbers[:2]])


@cheat("Perception-R1 dies of it (ZeroDivisionError), VLM-R1 swallows the error")
def flipped_box_of_the_same_area(target: Target, grammar: Grammar) -> str | None:
    """A box beside the truth with its x swapped and the truth's area: the union is 0 and is divided by."""
    if not writes_boxes(grammar) or _is_mostly_true(target):
        return None
    beside = []
    for claim, (x1, y1, x2, y2) in zip_corners(target):
        shift = -x1 if x1 > 1 - x2 else 1 - x2
        up = -y1 if y1 > 1 - y2 else 1 - y2
        beside.append(moved(claim, (x1 + shift, y1 + up, x2 + shift, y2 + up)))
    return renumbered(beside, target, grammar, lambda numbers: [*numbers[2:3], numbers[1], numbers[0], *numbers[3:]])


@cheat("readers that guess from the size of the numbers what they count")
def numbers_of_another_space(target: Target, grammar: Grammar) -> str | None:
    """The right boxes in fractions of the image, or in thousandths where the grammar writes fractions."""
    if not writes_boxes(grammar):
        return None
    fractions = grammar.space.max_value == 1
    changed = []
    for _, (x1, y1, x2, y2) in zip_corners(target):
        ordered = (y1, x1, y2, x2) if grammar.order == "yxyx" else (x1, y1, x2, y2)
        changed.append([str(round(number * 1000)) if fractions else repr(round(number, 3)) for number in ordered])
    return renumbered(target.claims, target, grammar, lambda _: changed.pop())


@cheat("readers that pick the order of the numbers that fits best")
def numbers_in_another_order(target: Target, grammar: Grammar) -> str | None:
    """The right boxes with x and y exchanged."""
    turned = [moved(claim, (y1, x1, y2, x2)) for claim, (x1, y1, x2, y2) in zip_corners(target)]
    if not writes_boxes(grammar) or any(map(_is_good, turned, target.claims)):
        return None

    def exchanged(numbers: list[str]) -> list[str]:
        return [number for pair in zip(numbers[1::2], numbers[::2], strict=False) for number in pair]

    return renumbered(target.claims, target, grammar, exchanged)


@cheat("readers that take the first, or the last, four numbers of a longer list")
def eight_numbers_in_one_box(target: Target, grammar: Grammar) -> str | None:
    """One list of eight numbers that holds the right box and another."""
    if '"bbox_2d"' not in body(target.claims, target, grammar):
        return None
    others = elsewhere(target)
    lists: list[list[str]] = []
    renumbered(others, target, grammar, lambda numbers: lists.append(numbers) or numbers)  # type: ignore[func-returns-value]

    def doubled(numbers: list[str]) -> list[str]:
        return [*numbers[:3], ", ".join([numbers[3], *lists.pop(0)])]

    return renumbered(target.claims, target, grammar, doubled)
