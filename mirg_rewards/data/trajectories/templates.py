"""Prose around the claims: openings of steps by task, and sentences for claims. It claims nothing itself."""

from __future__ import annotations

from mirg_rewards.data.trajectories.steps import StepKind

SENTENCES: dict[tuple[StepKind, str], tuple[str, ...]] = {
    ("look", "object"): (
        "The question starts from {}",
        "What is asked about goes back to {}",
        "Take {} as given",
        "Here is {}",
    ),
    ("look", "image"): ("{}", "Clearly {}", "As the question has it, {}"),
    ("look", "relation"): ("{}", "To begin with, {}", "One can see that {}"),
    ("compare", "object"): ("There is {}", "I find {}", "I also see {}", "One more to look at is {}"),
    ("compare", "image"): ("{}", "So {}", "After a look, {}", "Hence {}"),
    ("compare", "relation"): ("{}", "I notice that {}", "Side by side, {}", "By its looks, {}"),
    ("route", "image"): ("{}", "So {}", "Therefore {}", "That settles it: {}"),
    ("locate", "object"): ("What is asked for is {}", "It is {}", "The box goes tightly around {}", "I find {}"),
    ("check", "object"): ("This agrees with {}", "Once more, it is {}"),
    ("check", "image"): ("{}", "And {}", "To be sure, {}"),
    ("check", "relation"): ("{}", "Indeed, {}", "This fits, since {}", "To check: {}"),
}
"""Form of a claim of each kind (of an object, an image or a relation) in a sentence of each step."""

OPENERS: dict[str, dict[StepKind, tuple[str, ...]]] = {
    "": {
        "look": ("Let me see what is asked.", "The question has to be read with care.", "What am I to find?", ""),
        "compare": ("Now to the pictures, one by one.", "I go through the pictures.", "What do the pictures show?", ""),
        "route": ("Which picture is it, then?", "This leaves one choice.", "Now the choice of the picture.", ""),
        "locate": ("Where in it?", "Now the exact place.", "Let me mark it.", ""),
        "check": ("Does it fit?", "A last check.", "Let me check this.", ""),
    },
    "diff": {
        "look": (
            "Something has changed between the pictures.",
            "I am to spot a difference.",
            "A change is to be found.",
        ),
        "compare": ("I compare them part by part.", "Most of it stays as it was.", "Let me hold them side by side."),
        "route": ("The change shows after the edit.", "The edited picture is where it shows.", ""),
        "locate": ("The part that changed can be boxed.", "This is where they part ways.", "Now the exact place."),
        "check": ("Everything around it stays the same.", "Let me hold them side by side again.", ""),
    },
    "view_diff": {
        "look": ("The view moves, and much shifts by that alone.", "I look for a real change, beyond the viewpoint."),
        "compare": (
            "I match the scene part by part.",
            "The camera moved, the scene stays.",
            "First I undo the shift of view.",
        ),
        "route": ("The real change is to be marked after the move.", "Now the choice of the picture.", ""),
        "locate": (
            "This part is more than a shift of view.",
            "Here the scene itself has changed.",
            "Now the exact place.",
        ),
        "check": ("A new viewpoint alone would leave it as it was.", "Let me check this.", ""),
    },
    "common_object": {
        "look": (
            "All of them share one kind of object.",
            "What do they have in common?",
            "I look for what they share.",
        ),
        "compare": ("I look for it in each of them.", "It turns up in the others, too.", "One by one:"),
        "route": ("The question names the picture.", "Now to the one that is asked for.", ""),
        "locate": ("There it is again.", "The shared object is easy to see here.", "Now the exact place."),
        "check": ("It is what the others show.", "Does it fit the others?", ""),
    },
    "object_tracking": {
        "look": (
            "An object is marked, and it moves.",
            "I follow what is marked.",
            "The marked object is to be followed.",
        ),
        "compare": ("I follow it frame by frame.", "It moves on a little each time.", "Along the sequence:"),
        "route": ("The question names the frame.", "Now to the frame that is asked for.", ""),
        "locate": ("By then it has moved here.", "Following the motion leads here.", "Now the exact place."),
        "check": ("The motion is smooth.", "Its size and looks carry over.", "Let me check this."),
    },
    "multi_view": {
        "look": (
            "An object is marked, seen from several sides.",
            "I keep in mind what is marked.",
            "The marked object comes back.",
        ),
        "compare": (
            "The viewpoint changes from one to the next.",
            "I look for it from the other sides.",
            "View by view:",
        ),
        "route": ("The question names the view.", "Now to the view that is asked for.", ""),
        "locate": ("From this side it is here.", "Here it is again, seen anew.", "Now the exact place."),
        "check": ("Shape and surroundings agree.", "Let me check this.", ""),
    },
    "region": {
        "look": ("A crop is to be found in its source.", "I look at the crop.", "One of the regions is asked for."),
        "compare": (
            "The other crops are for other questions.",
            "Only one of the crops counts here.",
            "As for the rest:",
        ),
        "route": ("The whole scene is in the source.", "The crop has to be placed in its source.", ""),
        "locate": ("The same detail is found here.", "The crop fits in at this place.", "Now the exact place."),
        "check": ("Content and borders agree.", "Let me put the crop over it.", ""),
    },
    "refer_grounding": {
        "look": (
            "An object is shown by a picture of it.",
            "I look at what is shown.",
            "The object comes with a picture.",
        ),
        "compare": ("Shape, colour and texture are what to go by.", "I keep its looks in mind.", ""),
        "route": ("The question names the picture.", "Now to the scene.", ""),
        "locate": ("The same object stands out here.", "Here it is in the scene.", "Now the exact place."),
        "check": ("Its looks agree.", "Let me check this.", ""),
    },
    "group_grounding": {
        "look": (
            "One object is described, and several pictures could show it.",
            "I read the description.",
            "Which of them fits?",
        ),
        "compare": ("I hold the description against each of them.", "One by one:", "Let me go through them."),
        "route": ("This leaves one of them.", "Only one fits.", "The description fits one of them."),
        "locate": ("The description leads here.", "Here is what was described.", "Now the exact place."),
        "check": ("It fits the description.", "Let me read the description again.", ""),
    },
    "reasoning": {
        "look": (
            "The question takes some thought.",
            "I have to work out what is meant.",
            "First, what does the question imply?",
        ),
        "compare": ("What follows from it has to be seen elsewhere.", "I think of what would serve.", ""),
        "route": ("The question names the picture.", "Now to where the answer can be seen.", ""),
        "locate": ("This serves the purpose.", "Here is what the thought leads to.", "Now the exact place."),
        "check": ("It answers the question.", "Let me think it over once more.", ""),
    },
    "correspondence": {
        "look": (
            "An area is marked, and its counterpart is asked for.",
            "I look at what is marked.",
            "What is the marked part for?",
        ),
        "compare": ("Parts correspond by function or meaning.", "I think of what it does.", ""),
        "route": ("The counterpart is to be found in the other object.", "Now to the other object.", ""),
        "locate": ("The counterpart is this part.", "This part does the same work.", "Now the exact place."),
        "check": ("Both do the same work.", "Function and place agree.", ""),
    },
}
"""Opening of a step, for each of MIG-Bench's tasks; "" is for all others. The first sentence of a trajectory is of `look`."""

LEAKS = (
    "ground truth",
    "ground-truth",
    "annotat",
    "provided",
    "given coordinates",
    "given box",
    "given answer",
    "correct answer",
    "i was told",
    "gold answer",
    "reference answer",
)
"""Words that give away that the answer was known."""

DENIALS = frozenset(
    "not no never none neither nor cannot nothing without unlikely false wrong incorrect untrue doubt hardly instead "
    "mistake mistaken except exclude excluded ruled reject rejected dismiss discard absent missing lack lacks fail fails "
    "unlike opposite contrary refuse denied deny".split()
)
"""Words that could turn a claim around: outside of claims there are none of them."""
