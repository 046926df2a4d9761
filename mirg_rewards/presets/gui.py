"""The rewards of GUI-R1 and GTA1: where to click."""

from __future__ import annotations

import re
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from mirg_rewards.batch import Answers, Device, Targets
from mirg_rewards.coordinates import PIXELS, Resize, Space
from mirg_rewards.parsing import GRAMMARS, Grammar, as_grammar
from mirg_rewards.parsing.syntax import POINT, ClaimToWrite, Syntax, format_numbers
from mirg_rewards.parsing.syntaxes import JSON, POINTS, json_objects
from mirg_rewards.presets.dataset_units import Coordinates, coordinate_size
from mirg_rewards.presets.python_literals import read_literal
from mirg_rewards.presets.reference_code import THOUSANDTHS, check_grammar, counted, first_answer, think_then_answer
from mirg_rewards.rewards import PointDistance, PointInBox, ReferenceReward, Weighted, format_reward
from mirg_rewards.rewards.judging import BOXES_BY_POINTS, judges_of, judging
from mirg_rewards.rewards.terms import with_boxes
from mirg_rewards.scorer import Scorer
from mirg_rewards.targets import Target

_RADIUS = 140
_NO_TEXT = "no input text"


def _write_clicks(claims: list[ClaimToWrite]) -> str:
    """`[{'action': 'click', 'point': [x, y], 'input_text': 'no input text'}]`, and the image where it must be said."""
    clicks = []
    for claim in claims:
        assert claim.point is not None
        image = "" if claim.image is None else f"'image': {claim.image}, "
        place = f"'point': [{format_numbers(claim.point, ', ')}]"
        clicks.append(f"{{{image}'action': 'click', {place}, 'input_text': '{_NO_TEXT}'}}")
    return f"[{', '.join(clicks)}]"


CLICKS = Syntax(
    "CLICKS", partial(json_objects.scan, dialect=json_objects.Dialect(point="point", quotes=True)), _write_clicks, POINT
)
GUI_R1 = Grammar((CLICKS, JSON, POINTS), space=PIXELS, order="xy", think="required")
"""GUI-R1's answers: a list of actions with Python's quotes, in pixels of `seen_sizes`, else of the original image."""

GTA1 = Grammar((POINTS, JSON), space=PIXELS, order="xy", resize=GRAMMARS["seg_zero"].resize, think="required")
"""GTA1's answers: `<think>…</think><answer>(x, y)</answer>`, in pixels of the resized image."""


def gui_r1(*, grammar: Grammar | str = GUI_R1, compat: bool = False, device: Device = "cpu") -> Scorer:
    """GUI-R1's reward (arXiv 2504.10458), for clicks: the right action, in the right place.

    | | |
    | --- | --- |
    | source | ritzz-ai/GUI-R1, `verl/utils/reward_score/r1gui.py` |
    | format | `<think>…</think><answer>[{'action': 'click', 'point': [x, y], 'input_text': 'no input text'}]</answer>` |
    | space | pixels of the image after the code's own resize, which is `seen_sizes` (`data.readers.gui_r1.shrink`) |
    | formula | accuracy: a `click`, strictly inside the true box, or less than 140 pixels from the true point |
    | | format: the two tagged parts; a list of such objects, with whole numbers and texts that fit the actions |
    | weights, range | 0.8 accuracy + 0.2 format, 0 to 1 |
    | from the target | the first claim's box, or else its point, in pixels of the image seen (`seen_sizes`, else `sizes`) |
    | licence | Apache-2.0 |

    A `Target` says no action and no text, so the true action is always `click`; the other actions of the published code
    (typing, scrolling) are not here.

    Known holes: the published code evaluates the answer as Python, so that it runs whatever the policy writes; an
    answer without a point counts as a click on (0, 0), which is right near that corner; of several actions the first
    one's name goes with the last one's point; which image is meant is not looked at.

    The safe form counts points that lie in true boxes (or, in rows without boxes, less than 140 pixels from true points),
    one to one and within one image, over the larger count. `compat=True` gives the published numbers wherever the answer
    is a Python literal: it is read, never evaluated, and one that only an evaluation could read (arithmetic, calls, names,
    prefixed or triple-quoted strings) has a format of 0. What their code fails on earns 0, as there.

    >>> gui_r1().reward
    Weighted(accuracy=0.8, format=0.2)
    """
    grammar = check_grammar(grammar, GUI_R1) if compat else as_grammar(grammar)
    judged = partial(_gui_r1_accuracy, space=grammar.space, resize=grammar.resize)
    accuracy = ReferenceReward(judged, judges=judges_of(click_reward)) if compat else click_reward
    in_form = ReferenceReward(_gui_r1_format, judges=frozenset()) if compat else format_reward
    return Scorer(grammar, Weighted({"accuracy": (0.8, accuracy), "format": (0.2, in_form)}), device)


def gta1(*, grammar: Grammar | str = GTA1, compat: bool = False, device: Device = "cpu") -> Scorer:
    """GTA1's reward (arXiv 2507.05791): a click inside the element.

    | | |
    | --- | --- |
    | source | Yan98/GTA1, `src/grpo_grounding.py` |
    | format | `<think>…</think><answer>(x, y)</answer>` |
    | space | pixels of the resized image |
    | formula | accuracy: the one whole-number point in the text lies in any true box, edges included; format: 0 or 1 |
    | weights, range | accuracy + format, 0 to 2 |
    | from the target | boxes in thousandths, cut to whole pixels of the image seen (`seen_sizes`, else resized from `sizes`) |
    | licence | none stated for the repository (the file's header: Apache-2.0; its dataset: CC BY-NC-SA 4.0) |

    Known holes: the point may stand anywhere in the text, the think part too, and one more pair in brackets there, or a
    decimal point, costs the accuracy; which image is meant is not looked at. The overlap reward that the paper speaks of is
    not in the published code.

    The safe form reads the answer alone: the share of claimed points that lie in a true box of their image, one to one.
    By the paper's definition one of several true boxes is enough, which the audit shows as a hole.
    `compat=True` gives the published numbers on any text; what is no whole number earns 0, as there.

    >>> gta1().reward
    Weighted(accuracy=1, format=1)
    """
    grammar = check_grammar(grammar, GTA1) if compat else as_grammar(grammar)
    judged = partial(_gta1_accuracy, space=grammar.space, resize=grammar.resize)
    accuracy = ReferenceReward(judged, judges=BOXES_BY_POINTS) if compat else PointInBox(normalize_by="predicted")
    in_form = ReferenceReward(_gta1_format, judges=frozenset()) if compat else format_reward
    return Scorer(grammar, Weighted({"accuracy": (1.0, accuracy), "format": (1.0, in_form)}), device)


@judging("boxes by points", "points")
def click_reward(answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
    """Points in true boxes, one to one, over the larger count; less than 140 pixels from true points where no box is true.

    >>> from mirg_rewards import Box, Claim, Parsed, Point, pack
    >>> target = Target((Claim(1, Box(0.0, 0.0, 0.5, 0.5)),), sizes=((640, 480),))
    >>> click_reward(*pack([Parsed((Claim(1, point=Point(0.25, 0.25)),))], [target]))
    tensor([1.])
    """
    in_boxes = PointInBox()(answers, targets)
    near_points = PointDistance(_RADIUS, pixels=True, strict=True)(answers, targets)
    return torch.where(with_boxes(targets.claims).counts > 0, in_boxes, near_points)


# matches: 'action': 'click'
_ACTION = re.compile(r"'action':\s*'(\w+)'")
# matches: "[12, 340]"; also a brace or a line end, which ends the search
_PLACE = re.compile(r"\{|\n|\[(\d++),\s*+(\d++)\]\s*+")
# matches: "(12.5, -3)"
_PAIR = re.compile(r"\((-?+(?:\d++(?:\.\d++)?+|\.\d++)),\s*+(-?+(?:\d++(?:\.\d++)?+|\.\d++))\)")
# matches: "</think><answer>(12, 340)</answer>"
_POINT_PART = re.compile(r"</think>\s*+<answer>\(\d++,\s*+\d++\)</answer>")
_SCROLLS = ("left", "right", "up", "down")


def _gui_r1_accuracy(text: str, target: Target, *, space: Space, resize: Resize | None) -> float:
    answer = (first_answer(text) or "").strip()
    action = _ACTION.search(answer)
    target_place = _target_place(target, space, resize)
    if action is None or action[1].lower() != "click" or not target_place:
        return 0.0
    x, y = _last_point(answer)
    try:
        if len(target_place) == 2:
            return float((x - target_place[0]) ** 2 + (y - target_place[1]) ** 2 < _RADIUS**2)
        return float(target_place[0] < x < target_place[2] and target_place[1] < y < target_place[3])
    except OverflowError:
        return 0.0


def _target_place(target: Target, space: Space, resize: Resize | None) -> Coordinates:
    """The four numbers of the first true claim's box, or the two of its point, in pixels; none where there is neither."""
    for claim in target.claims[:1]:
        size = coordinate_size(target, claim.image or 1, resize, space)
        if claim.box is not None:
            return counted(claim.box.corners, size)
        if claim.point is not None:
            return counted((claim.point.x, claim.point.y), size)
    return ()


def _last_point(answer: str) -> tuple[int, int]:
    """The last `[x, y]` of the first line that has one between two braces; (0, 0) where no line has.

    The closing brace stands on the line where the text goes on after the point, blanks and line ends passed over.
    """
    point: tuple[str, str] | None = None
    is_open = False
    brace = newline = -1
    for match in _PLACE.finditer(answer):
        if match[0] == "{":
            is_open = True
            continue
        if match[0] != "\n" and is_open:
            after = match.end()
            brace = _next(answer, "}", brace, after)
            newline = _next(answer, "\n", newline, after)
            if brace < newline:
                point = match[1], match[2]
        if "\n" in match[0]:
            if point is not None:
                break
            is_open = False
    try:
        return (int(point[0]), int(point[1])) if point is not None else (0, 0)
    except ValueError:
        return (0, 0)


def _next(text: str, wanted: str, known: int, after: int) -> int:
    """The next offset of `wanted`, searched for only if the offset `known` so far is passed; the end if there is none."""
    if known >= after:
        return known
    found = text.find(wanted, after)
    return found if found >= 0 else len(text)


def _gui_r1_format(text: str, target: Target) -> float:
    if not think_then_answer(text, target):
        return 0.0
    try:
        actions = read_literal((first_answer(text) or "").strip())
        return float(isinstance(actions, list) and all(map(_is_action, actions)))
    except (ValueError, TypeError, LookupError):
        return 0.0


def _is_action(action: object) -> bool:
    """True for an action of the requested form. Raise TypeError or LookupError if its point is no pair."""
    if not isinstance(action, dict) or not {"action", "point", "input_text"} <= action.keys():
        return False
    name, point, input_text = action["action"], action["point"], action["input_text"]
    if not isinstance(name, str) or not isinstance(input_text, str):
        return False
    if not (isinstance(point[0], int) and isinstance(point[1], int)):
        return False
    if name in ("type", "select", "open_app"):
        return input_text != _NO_TEXT
    return name != "scroll" or input_text in _SCROLLS


def _gta1_accuracy(text: str, target: Target, *, space: Space, resize: Resize | None) -> float:
    pairs = _PAIR.findall(text)
    try:
        points = [(int(x), int(y)) for x, y in pairs]
    except ValueError:
        return 0.0
    if not points:
        return 0.0
    x, y = points[0] if len(points) == 1 else (-1, -1)
    return float(any(x1 <= x <= x2 and y1 <= y <= y2 for x1, y1, x2, y2 in _gta1_boxes(target, space, resize)))


def _gta1_boxes(target: Target, space: Space, resize: Resize | None) -> list[tuple[int, ...]]:
    boxes = []
    for claim in target.claims:
        if claim.box is not None:
            width, height = coordinate_size(target, claim.image or 1, resize, space)
            corners = counted(claim.box.corners, THOUSANDTHS)
            sides = (width / 1000, height / 1000) * 2
            boxes.append(tuple(int(corner * side) for corner, side in zip(corners, sides, strict=True)))
    return boxes


def _gta1_format(text: str, target: Target) -> float:
    del target
    text = text.strip()
    last = text.rfind("</think>")
    return float(text.startswith("<think>") and last >= 7 and _POINT_PART.fullmatch(text, last) is not None)
