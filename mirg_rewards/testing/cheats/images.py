"""Cheats by images: another one, all of them, none, or one that is not there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mirg_rewards.claims import Claim
from mirg_rewards.parsing import Grammar
from mirg_rewards.targets import Target
from mirg_rewards.testing.answer_format import coordinate_sizes
from mirg_rewards.testing.cheats.writing import cheat, elsewhere, in_images_called, write_response


def _called(name: Callable[[int], str], target: Target, grammar: Grammar) -> str | None:
    """The right boxes, the number of each one's image replaced by what `name` makes of it."""
    return in_images_called([name(claim.image or 1) for claim in target.claims], target.claims, target, grammar)


def _in_other_images(claims: Sequence[Claim], images: Sequence[int], target: Target, grammar: Grammar) -> str | None:
    """`claims` about other images, by the same numbers, which in pixels are other fractions of an image of another size."""
    text = in_images_called(list(map(str, images)), claims, target, grammar)
    moved_on = [replace(claim, image=image) for claim, image in zip(claims, images, strict=True)]
    return text or write_response(moved_on, target, grammar)


def _next(target: Target, image: int | None) -> int:
    return (image or 1) % len(target.sizes) + 1


@cheat("every published reward for boxes: none of them looks at the image (UniVG-R1 1.0)")
def wrong_image(target: Target, grammar: Grammar) -> str | None:
    """The right boxes, each claimed for another image."""
    if len(target.sizes) < 2:
        return None
    return _in_other_images(target.claims, [_next(target, one.image) for one in target.claims], target, grammar)


@cheat("rewards that ask whether the right image is among those that were named")
def same_box_in_every_image(target: Target, grammar: Grammar) -> str | None:
    """The right boxes claimed for every image of the row: one of them is the right one, and ties are broken for it."""
    if len(target.sizes) < 2:
        return None
    images = [image for image in range(1, len(target.sizes) + 1) for _ in target.claims]
    return _in_other_images(target.claims * len(target.sizes), images, target, grammar)


@cheat("image rewards by membership: naming all images always names the right one")
def every_image_and_a_miss(target: Target, grammar: Grammar) -> str | None:
    """A box that misses in every image: the share of right images is full, if nobody counts the wrong ones."""
    if len(target.sizes) < 2:
        return None
    miss = elsewhere(target)[0]
    return write_response([replace(miss, image=image) for image in range(1, len(target.sizes) + 1)], target, grammar)


@cheat("image rewards that count mentions, not places")
def every_image_and_no_box(target: Target, grammar: Grammar) -> str | None:
    """Every image named, with no place in any of them."""
    if "image" not in grammar.syntaxes[0].writes:
        return None
    return write_response([Claim(image) for image in range(1, len(target.sizes) + 1)], target, grammar)


@cheat("rewards whose image term is larger than what a poor box loses")
def right_image_and_no_box(target: Target, grammar: Grammar) -> str | None:
    """The right images named, with no place in any of them."""
    if "image" not in grammar.syntaxes[0].writes:
        return None
    return write_response([Claim(claim.image) for claim in target.claims], target, grammar)


@cheat("rewards that match boxes first and compare images as a set")
def boxes_exchanged_between_images(target: Target, grammar: Grammar) -> str | None:
    """The right images and the right boxes, each box in another one's image."""
    images = [claim.image or 1 for claim in target.claims]
    turned = images[1:] + images[:1]
    if any(image == other for image, other in zip(images, turned, strict=True)):
        return None
    return _in_other_images(target.claims, turned, target, grammar)


@cheat("rewards for rows whose first images are references that must not be named")
def a_box_in_the_reference_too(target: Target, grammar: Grammar) -> str | None:
    """The right boxes, and one in each image that holds nothing that was asked for."""
    images = {claim.image for claim in target.claims}
    others = [image for image in range(1, len(target.sizes) + 1) if image not in images]
    if not others:
        return None
    extra = [replace(elsewhere(target)[0], image=image) for image in others]
    return write_response([*target.claims, *extra], target, grammar)


@cheat("rewards that take an unsaid image for the right one")
def image_left_unsaid(target: Target, grammar: Grammar) -> str | None:
    """The right boxes in a row of several images, with no word on which."""
    counted = coordinate_sizes(target, grammar)
    sizes = {counted[(claim.image or 1) - 1] for claim in target.claims}
    if len(target.sizes) < 2 or len(sizes) > 1:
        return None
    claims = [replace(claim, image=1) for claim in target.claims]
    own = grammar.syntaxes[0]
    silent = replace(own, says_image=False, write=lambda all_: own.write([one._replace(image=None) for one in all_]))
    alone = replace(grammar, syntaxes=(silent, *grammar.syntaxes[1:]), resize=None)
    return write_response(claims, Target((), tuple(sizes)), alone)


@cheat("rewards that index a list of images by what the model wrote")
def image_past_the_last(target: Target, grammar: Grammar) -> str | None:
    """The right boxes in an image that the row does not have: an IndexError, or the last one after all."""
    return _called(lambda _: str(len(target.sizes) + 1), target, grammar)


@cheat("rewards in Python: index 0 less 1 is the last image")
def image_zero(target: Target, grammar: Grammar) -> str | None:
    """The right boxes in image 0."""
    return _called(lambda _: "0", target, grammar)


@cheat("readers that let one 0 turn all numbers of images into counts from 0")
def images_counted_from_zero(target: Target, grammar: Grammar) -> str | None:
    """The right boxes, each image's number one too low: in a row of one box, the image before."""
    if len(target.sizes) < 2:
        return None
    return _called(lambda image: str(image - 1), target, grammar)


@cheat("rewards in Python: list[-1] is an image too")
def negative_image(target: Target, grammar: Grammar) -> str | None:
    """The right boxes, their images counted from the end."""
    if len(target.sizes) < 2:
        return None
    return _called(lambda image: str(image - len(target.sizes) - 1), target, grammar)


@cheat("readers that take the image that fits from several")
def several_images_at_once(target: Target, grammar: Grammar) -> str | None:
    """The right boxes in a list of all images: who reads it as one of them may read the right one."""
    if len(target.sizes) < 2:
        return None
    every = ", ".join(str(image + 1) for image in range(len(target.sizes)))
    return _called(lambda _: f"[{every}]", target, grammar)


@cheat("readers that keep the first of two equal keys")
def image_said_twice(target: Target, grammar: Grammar) -> str | None:
    """The key of the image twice in one object, the right one and then another."""
    if len(target.sizes) < 2:
        return None
    text = _called(lambda image: f'{image}, "image": {_next(target, image)}', target, grammar)
    return text if text and '"image": ' in text and '"bbox_2d"' in text else None


@cheat("MIG-Bench's helper, which reads Image-10 as image 1")
def image_number_that_begins_like_another(target: Target, grammar: Grammar) -> str | None:
    """The right boxes in images with a 0 behind their number: 10 for 1, 20 for 2."""
    return _called(lambda image: f"{image}0", target, grammar)


@cheat("rewards that pool the boxes of all images")
def boxes_of_all_images_in_one(target: Target, grammar: Grammar) -> str | None:
    """All the right boxes in the first one's image, whichever image they belong to."""
    images = {claim.image for claim in target.claims}
    if len(images) < 2:
        return None
    first = target.claims[0].image or 1
    return _in_other_images(target.claims, [first] * len(target.claims), target, grammar)
