"""Which image a text gives to a box: one table a property. In a text, each `@` stands for a box."""

import pytest

from mirg_rewards.parsing.image_names import ORDINALS, REFERENCE
from mirg_rewards.parsing.image_references import assign_images, image_of, image_of_value
from mirg_rewards.parsing.lexer import fold
from mirg_rewards.parsing.syntax import AMBIGUOUS, RawClaim

BOX = "[100, 200, 300, 400]"
COUNT = 12


def images(text, count=COUNT):
    """The image of each `@` in a text."""
    parts = fold(text).split("@")
    found, at = [], 0
    for part in parts[:-1]:
        at += len(part)
        found.append(RawClaim(None, (1, 2, 3, 4), None, "", False, at, at + len(BOX), (at, at + len(BOX))))
        at += len(BOX)
    written = BOX.join(parts)
    return [claim.image for claim in assign_images(written, found, 0, len(written), count)]


def table(rows):
    return pytest.mark.parametrize(("text", "expected"), rows, ids=[repr(text)[:60] for text, _ in rows])


NAMES = [
    *((f"{noun} 2", 2) for noun in "image img picture pic photo frame view Image IMAGE Photo".split()),
    *((f"image{separator}2", 2) for separator in ("", " ", "-", "_", "#", " #", ":", ".", ": ", "=")),
    *(
        (f"the {noun} {number}", 4)
        for noun, number in (("fourth", "view"), ("4th", "frame"), ("last", "photo"), ("final", "picture"))
    ),
    ("Image No. 2", 2),
    ("Image No.2", 2),
    ("image number 2", 2),
    ("image (2)", 2),
    ("image(2)", 2),
    ("image[2]", 2),
    ("IMAGE-2", 2),
    ("img_2", 2),
    ("img_02", 2),
    ("Frame1", 1),
    ("view three", 3),
    ("image one", 1),
    ("image twelve", 12),
    ("image-two", 2),
    ("picture twenty", 20),
    ("Image-10", 10),
    ("Image 0", 0),
    ("Image-99", 99),
    ("1th image", 1),
    ("3th image", 3),
    ("11th image", 11),
    ("21st image", 21),
    ("22th image", 22),
    ("2nd photo", 2),
    ("Second Image", 2),
    ("twelfth picture", 12),
    ("twenty-first image", 21),
    ("second of the four images", 2),
    ("third one of the images", 3),
    ("second input image", 2),
    ("fourth and final image", 4),
    ("<image-2>", 2),
    ("<image 3>", 3),
    ("<image_2>", 2),
    ("<image2>", 2),
    ("<image_00>", 1),
    ("<image_01>", 2),
    ("<image_11>", 12),
    ("Ｉｍａｇｅ－２", 2),
    ("图2", 2),
    ("图 2", 2),
    ("图２", 2),
    ("图二", 2),
    ("图十二", 12),
    ("图片3", 3),
    ("图像 3", 3),
    ("照片三", 3),
    ("第一张图", 1),
    ("第二张图片", 2),
    ("第两张图", 2),
    ("第 3 张图片", 3),
    ("第３张图片", 3),
    ("第十张图", 10),
    ("第十二张图", 12),
    ("第二十三张图", 23),
    ("第九十九张图", 99),
    ("第一幅", 1),
    ("第二幅图像", 2),
    ("第2帧", 2),
    ("第二帧画面", 2),
    ("第三个画面", 3),
    ("第三张照片", 3),
    ("最后一张图", 4),
    ("最后一张", 4),
    ("最后一幅图片", 4),
]


@table(NAMES)
def test_every_name_of_an_image_is_read_whole(text, expected):
    assert image_of(text, 4) == expected
    assert images(f"{text}: @", 4) == [expected]
    assert images(f"It is in {text}, at @.", 4) == [expected]


@pytest.mark.parametrize("number", range(1, len(ORDINALS) + 1))
def test_ordinals_in_words_and_digits_name_the_same_image(number):
    assert image_of(f"{ORDINALS[number - 1]} image", 40) == image_of(f"{number}th image", 40) == number


NO_NAMES = [
    "At first glance it is here",
    "The second person from the left",
    "third car",
    "the second photo frame on the wall",
    "In the image two dogs are seen",
    "In this picture three men",
    "Objects in the image:\n1. the dog",
    "Objects in the image: 1 dog",
    "An image. 2 dogs",
    "Image-2b",
    "image 2.5",
    "reimage 2",
    "sub-image 2",
    "my_image_2x",
    "imagination 2",
    "photograph 2",
    "preview 2",
    "<image>",
    "image",
    "the 1th region picture in the source image",
    "图片一共有两只",
    "照片一样大",
    "画面一侧",
    "图片两只狗",
    "第二张桌子",
    "第三个人",
    "最后一个人",
    "图中一只狗",
    "the image and the picture",
]


@pytest.mark.parametrize("text", NO_NAMES, ids=repr)
def test_what_counts_or_orders_other_things_names_no_image(text):
    assert images(f"{text} @") == [None]


RULED_OUT = [
    ("It is not in the first image but in the third image: @", [3]),
    ("It is not in the first image but in the third: @", [3]),
    ("not the first image, but the 3rd one, at @", [3]),
    ("It is not in the first image. It's in the second. @", [2]),
    ("It is not in the first image but in the third person's hand: @", [None]),
    ("not in the first but in the third image: @", [3]),
    ("It is not in Image-1. @", [None]),
    ("in the third image, not the first image: @", [3]),
    ("It isn't in image 1, it's in image 2: @", [2]),
    ("It isn’t in image 1: @", [None]),
    ("It cannot be seen in image 1: @", [None]),
    ("It is not visible in image 1: @", [None]),
    ("It does not appear in the first image. @", [None]),
    ("in Image-2 rather than Image-1: @", [2]),
    ("in Image-2 instead of Image-1: @", [2]),
    ("Neither image 1 nor image 2, but image 3: @", [3]),
    ("neither in the first image nor in the second image: @", [None]),
    ("not in Image-1 or Image-2: @", [None]),
    ("not in the first or second image: @", [None]),
    ("There is no dog in Image-1. @", [None]),
    ("No doubt in Image-1: @", [1]),
    ("not only in Image-1: @", [1]),
    ("I am not sure, but Image-1: @", [1]),
    ("Knot in image 1: @", [1]),
    ("It looks like image 1 has it at @", [1]),
    ("It is not in image 1 and image 2 shows it at @", [2]),
    ("It was in image 1: @", [1]),
    ("In Image-2, unlike Image-1, it is at @", [2]),
    ("In Image-2, compared with Image-1, it moved to @", [2]),
    ("Compared with the first image, it moved in the second image: @", [2]),
    ("Unlike Image-1, Image-2 has it at @", [2]),
    ("It is larger than in image 1: @", [None]),
    ("In image 2, the same dog as in image 1 is at @", [2]),
    ("As shown in image 1, it is at @", [1]),
    ("@ is not in image 1 but in image 2", [2]),
    ("@ in the third image, not the first image", [3]),
    ("不在第一张图而在第三张图: @", [3]),
    ("不在第一张图而在第三张：@", [3]),
    ("不是图1，而是图3：@", [3]),
    ("在图3，而不是图1：@", [3]),
    ("没有出现在图1中。@", [None]),
    ("不仅在图1：@", [1]),
    ("与图1相比，图2：@", [2]),
    ("图2与图1相比：@", [2]),
]


@table(RULED_OUT)
def test_an_image_that_is_ruled_out_never_counts(text, expected):
    assert images(text) == expected


GROUPS = [
    "Images 1 and 3: @",
    "Images 1, 2 and 3: @",
    "Images 1-3: @",
    "Images [1, 2, 3, 4] show @",
    "Image 1 and 3: @",
    "Image-1 and Image-3: @",
    "Image-1, Image-2 and Image-3: @",
    "Image-1 and in the third image: @",
    "image 1 or image 2: @",
    "the first and third images: @",
    "the first, second and third images: @",
    "the first and the third image: @",
    "the first two images: @",
    "the last two images: @",
    "both images: @",
    "Both of these images show @",
    "all images: @",
    "each of the four images: @",
    "two images: @",
    "the other image: @",
    "In the left image: @",
    "the second to last image: @",
    "图1和图3：@",
    "图1、图3：@",
    "图1和3：@",
    "图一和图三：@",
    "第一张图和第三张图：@",
    "第一张和第三张图：@",
    "两张图：@",
    "所有图片：@",
    "另一张图：@",
    "左图：@",
    "@ in both images",
    "@ in Images 1 and 3",
    "Both images:\n@",
    "In image 1 it is red, in the other image at @",
    "Image-2 is empty. Images 1 and 3 show @",
    "Comparing image 1 and image 2, it is at @",
    "The difference between the first image and the second image is at @",
    "It appears in images 1 and 3, at @",
]


@pytest.mark.parametrize("text", GROUPS, ids=repr)
def test_a_group_is_not_one_image(text):
    assert images(text) == [AMBIGUOUS]


BESIDE_GROUPS = [
    ("In Image-2, unlike the other image, at @", [2]),
    ("Both images show it. In Image-2: @", [2]),
    ("Images [1, 2, 3, 4] all contain it; the clearest is Image-2: @", [2]),
    ("In the second image, what both images share is at @", [2]),
    ("The dog in all images is, in Image-3, at @", [3]),
    ("### Image 2\nBoth images show @", [2]),
    ("Images 1 and 3 differ: @ in image 3.", [3]),
    ("Both images show @ (Image-2).", [2]),
    ("the last image 2: @", [2]),
    ("Image-2, the second image: @", [2]),
    ("the dog in image 1 and image 2 shows it at @", [2]),
    ("Both images show it.\n\n@", [None]),
]


@table(BESIDE_GROUPS)
def test_a_single_image_outdoes_a_group(text, expected):
    assert images(text) == expected


BINDING = [
    ("@", [None]),
    ("At first glance it looks empty, but Image-3 contains it: @", [3]),
    ("The second person in image 3 is at @.", [3]),
    ("The target is in Image 2. The bounding box is @.", [2]),
    ("The target is in Image 2.\n\nThe bounding box is @.", [None]),
    ("In Picture 1, at @; in Picture 2, at @", [1, 2]),
    ("图一：@；图三：@", [1, 3]),
    ("It is in the first image. @It is in the third image. @", [1, 3]),
    ("The second image shows it at @ and at @.", [2, 2]),
    ("Image-1: @\nImage-2: @", [1, 2]),
    ("| Image-1 | @ |\n| Image-2 | @ |", [1, 2]),
    ("- Image-1: @\n- Image-2: @", [1, 2]),
    ("@ in the second image", [2]),
    ("@ (Image-3)", [3]),
    ("@ is in Image No. 3", [3]),
    ("@在图3中", [3]),
    ("@. The third image is empty.", [None]),
    ("@ is the cup. Image-2: @", [None, 2]),
    ("@ is the cup, Image-2: @", [None, 2]),
    ("@ is the cup, and in Image-2 it is at @.", [None, 2]),
    ("@ is the cup; Image-2: @ is the dog", [None, 2]),
    ("@ in image 1, @ in image 2", [1, 2]),
    ("@ in image 1 and @ in image 2", [1, 2]),
    ("@ (image 1), @ (image 2)", [1, 2]),
    ("@ in image 1. @ in image 2.", [1, 2]),
    ("- @ (image 1)\n- @ (image 2)", [1, 2]),
    ("@ is the cup of image 1, @ that of image 2", [1, 2]),
    ("@ and @ in the second image", [2, 2]),
    ("@, @ in image 1, @ in image 2", [1, 1, 2]),
    ("@ in image 1 and @.", [1, 1]),
    ("The dog of the first image is at @ in the second image.", [2]),
    ("The man in Image-1 is the man at @ in Image-3, who wears red.", [3]),
    ("The dog is at @ in the first image and at @ in the second image.", [1, 2]),
    ("In the first image, it is at @, and in the second image, it is at @.", [1, 2]),
    ("In image 1, 2 dogs: @ and @", [1, 1]),
    ("Image-1 @ Image-2 @", [1, 2]),
    ("图片2中的猫在@，图片3中的猫在@", [2, 3]),
    ("In image 3: @. @ in image 1.", [3, 1]),
    ("In image 1 @ in image 2 @", [1, 2]),
    ("It is in Image-1. @, which in Image-2 was @", [1, 2]),
]


@table(BINDING)
def test_a_box_takes_the_nearest_reference_that_is_its_own(text, expected):
    assert images(text) == expected


HEADINGS = [
    *(
        (f"{heading}\n\n@ is a dog.\n\nSo is @", [2, 2])
        for heading in (
            "Image 2:",
            "### Image 2",
            "**Image 2**",
            "**Image 2:**",
            "- Image 2",
            "1. Image 2:",
            "图2：",
            "第二张图：",
            "[Image 2]",
            "<image-2>",
            "The second image:",
            "In Image 2:",
            "Image 2 (the park):",
            "## Image 2: The park",
            "**Image 2 – the park**",
        )
    ),
    ("Image 1:\n@\n\nImage 3:\n@\n\n@", [1, 3, 3]),
    ("```json\nImage 2:\n@\n```", [2]),
    ("### Image 2\nThe dog of the first image is at @", [2]),
    ("### Image 2\nNothing.\nIn image 3 it is at @", [3]),
    ("Image 1:\n@\nIn the second image: @", [1, 2]),
    ("### Image 2\nIt is at @.\n\nIn image 3, it is at @.\n\nAnd @", [2, 3, 2]),
    ("### Image 2\n@\n\n### Both images\n@", [2, AMBIGUOUS]),
    ("Image 2 is empty.\n\n@", [None]),
    ("@ in image 1\n\n@", [1, None]),
    ("Not Image 2\n\n@", [None]),
    ("### Image 2\n\n" + "The dog is brown.\n\n" * 100 + "@", [2]),
]


@table(HEADINGS)
def test_a_heading_holds_until_the_next(text, expected):
    assert images(text) == expected


VALUES = [
    ("Image-2", 1, 2), ("2", 1, 2), ("2", 0, 3), ("2.0", 1, 2), ("second image", 1, 2), ("second", 1, 2), ("two", 1, 2),
    ("the second image", 1, 2), ("The 2nd Image", 0, 2), ("image_2.jpg", 1, 2), ("#2", 1, 2), ("[2]", 1, 2),
    ("<image-2>", 1, 2), ("<image_01>", 1, 2), ("<image>2", 1, 2), ("图２", 1, 2), ("二", 1, 2), ("第二张", 1, 2),
    ("Image 2 of 4", 1, 2), ("in the second image", 1, 2), ("last", 1, 4), (2.0, 1, 2), (2, 0, 3), ([2], 1, 2),
    (["Image-2"], 1, 2), (9, 1, 9), (0, 1, 0), (None, 1, None), ([None], 1, None),
    *((value, 1, AMBIGUOUS) for value in (True, False, 1.5, "1.5", "both", "all images", "left", "", "photo.jpg", "a dog",
      "not image 1", "Image-1 and Image-2", "1, 2", [1, 2], [], [[1, 2]], {}, float("nan"), float("inf"), 10**400)),
]  # fmt: skip


@pytest.mark.parametrize(("value", "base", "expected"), VALUES, ids=repr)
def test_values_of_image_keys(value, base, expected):
    assert image_of_value(value, base, 4) == expected


@pytest.mark.parametrize(
    "key", ["dog", "image", "images", "the dog in image 2", "Image-2b", "", "the", "bbox", "第二张桌子"]
)
def test_keys_that_name_no_image_are_labels(key):
    assert image_of(key, 4) is None


def test_images_that_claims_state_themselves_stay():
    text = "Image-1: " + BOX
    stated = RawClaim(7, (1, 2, 3, 4), None, "", False, 9, len(text), (9, len(text)))
    assert assign_images(text, [stated], 0, len(text), 4) == [stated]
    assert assign_images(text, [], 0, len(text), 4) == []


def test_claims_of_one_structure_share_the_words_around_it():
    text = 'Image-2: [{"a": [1, 2, 3, 4]}, {"b": [5, 6, 7, 8]}]'
    outer = (9, len(text))
    found = [RawClaim(None, (1, 2, 3, 4), None, "", False, at, at + 12, outer) for at in (16, 37)]
    assert [claim.image for claim in assign_images(text, found, 0, len(text), 4)] == [2, 2]


@pytest.mark.parametrize("label", ["both photos", "the left picture", "two images", "all frames", "三张照片"])
def test_groups_without_numbers_are_references_only_around_boxes(label):
    assert not REFERENCE.search(label)
    assert image_of(label, 4) == AMBIGUOUS


PIECES = [
    "Image-1 and ", "not in ", "第", "the first ", "image ", "\n# Image 1", "images 1, ", "first, ", "no a ", "图", "两张", "both ",
    "<image_", "\n", "\n \t", "not in image 1 or ", "图1和", "image 1, ", "(", "的", "twenty-", "1", " ", "\x00", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES, ids=ascii)
def test_any_text_is_read_and_its_matches_lie_in_order(piece):
    text = piece * (2**14 // len(piece))
    ends = [0]
    for match in REFERENCE.finditer(text):
        assert match.start() >= ends[-1]
        ends.append(match.end())
    assert images(text + "@" + text + "@" + text)
    assert image_of(text, 4) in (None, AMBIGUOUS)
    assert image_of_value(text, 1, 4) is not None
