"""`check_reward` and `audit` on functions with the signatures that people write for their trainers."""

import asyncio
import random
import re

import pytest
import torch

from mirg_rewards import GRAMMARS, Target, format_reward, object_reward, presets
from mirg_rewards.cli import main
from mirg_rewards.testing import CHEATS, PROPERTIES, audit, check_reward, judge
from mirg_rewards.testing import targets as any_targets

FEW = {name: CHEATS[name] for name in ("wrong image", "best box first", "no word", "box where nothing is")}
MIRG_RL = presets.mirg_rl()


def earned(completions, wires, scorer=MIRG_RL):
    return scorer(list(completions), [Target.from_json(wire) for wire in wires]).total.tolist() if completions else []


def usual(completions, solution, **kwargs):
    return earned(completions, solution)


def optional(completions, solution=None, **kwargs):
    return earned(completions, solution)


def of_chats(completions, solution, **kwargs):
    return earned([messages[0]["content"] for messages in completions], solution)


def in_pixels(completions, solution, **kwargs):
    return earned(completions, solution, presets.mirg_rl(grammar=GRAMMARS["qwen25_json"]))


async def awaited(completions, solution, **kwargs):
    await asyncio.sleep(0)
    return earned(completions, solution)


class Awaited:
    async def __call__(self, completions, solution, **kwargs):
        return earned(completions, solution)


def leaves_refusals_out(completions, solution, **kwargs):
    """Judges rows where something is to be found, as TRL's examples for data of several tasks do."""
    numbers = earned(completions, solution)
    return [number if '"box"' in wire else None for number, wire in zip(numbers, solution, strict=True)]


def same_text(completions, solution, **kwargs):
    return [
        float(text.split("<answer>")[-1] == wire.split("<answer>")[-1])
        for text, wire in zip(completions, solution, strict=True)
    ]


def of_nothing_known(completions, solution, **kwargs):
    return [float(text == "42") for text in completions]


def of_two_columns(completions, solution, images_seen, **kwargs):
    return earned(completions, solution)


def indexes_the_first(completions, solution, **kwargs):
    assert solution[0] is not None  # a trainer never calls with no row
    return earned(completions, solution)


SOUND = [usual, optional, awaited, Awaited(), leaves_refusals_out, indexes_the_first]


@pytest.mark.parametrize("reward", SOUND, ids=lambda reward: getattr(reward, "__name__", type(reward).__name__))
def test_the_usual_signatures_of_trl_are_checked_and_audited_without_a_word(reward):
    check_reward(reward, max_examples=3)
    found = audit(reward, cheats=FEW)
    assert found.is_sound, str(found)
    assert (found.truth, found.near_miss) == pytest.approx((1.0, 0.88))


def test_columns_of_ones_own_are_passed_in_every_property():
    columns = lambda target: {"solution": target.to_json()}  # noqa: E731
    check_reward(usual, columns=columns, max_examples=2)
    assert judge(usual, columns=columns)([], []) == []


def test_columns_that_cannot_describe_a_target_are_the_cause():
    def columns(target):
        return {"solution": target.to_json(), "box": target.claims[0].box.corners}

    with pytest.raises(
        ValueError, match=r"columns raised IndexError: .* for the target .*; let it describe every target"
    ):
        check_reward(usual, columns=columns)
    check_reward(usual, columns=columns, targets=any_targets(min_size=1), skip=["pickled"], max_examples=2)


def test_several_columns_are_asked_for_by_name():
    for call in (check_reward, audit):
        with pytest.raises(
            TypeError, match="of_two_columns takes the columns solution, images_seen: pass columns=function"
        ):
            call(of_two_columns)


def test_what_silence_escapes_by_is_a_fault():
    def escapes(completions, solution, **kwargs):
        numbers = earned(completions, solution)
        return [number if "<answer>" in text else None for number, text in zip(numbers, completions, strict=True)]

    with pytest.raises(
        AssertionError, match=r"finite does not hold: earned None\.\n.*\n.*\n.*\n  expected +a number, as the"
    ):
        check_reward(escapes, max_examples=5)
    (finding,) = audit(escapes, cheats={"no word": CHEATS["no word"]}).findings
    assert finding.verdict == "None"
    assert finding.is_hole


def test_a_function_that_judges_no_row_is_told():
    def never(completions, target, **kwargs):
        return [None] * len(completions)

    with pytest.raises(ValueError, match="pays_the_truth needs targets with a claim that the reward judges"):
        check_reward(never, skip=PROPERTIES.keys() - {"pays_the_truth"})
    with pytest.raises(ValueError, match="the truth must earn a number, got no finite number"):
        audit(never)


# What the audit finds by trying


def test_the_grammar_is_found_by_trying():
    found = audit(in_pixels, cheats=FEW)
    assert found.is_sound, str(found)
    assert "qwen25_json" in found.grammar
    assert "the grammar was found by trying" in found.title()


def test_chat_messages_are_found_by_trying():
    found = audit(of_chats, cheats=FEW)
    assert found.is_sound, str(found)
    assert "completions are chat messages" in found.title()


def test_a_solution_in_text_is_found_by_trying():
    found = audit(same_text, cheats={"no word": CHEATS["no word"]})
    assert found.truth == 1.0
    assert "the column solution is the truth written as an answer" in found.title()


def test_a_grammar_that_was_named_is_kept_and_the_better_one_said():
    found = audit(in_pixels, grammar=GRAMMARS["mirg"], columns="solution")
    assert not found.is_sound
    assert not found.findings
    assert re.fullmatch(
        r"The truth earns 0\.\d+, no more than a right image with IoU 0: nothing was audited\. Probable cause: another form\. "
        r'In grammar \w+ the truth earns 1\.000: pass grammar=GRAMMARS\["\w+"\], or --grammar \w+\.',
        found.summary(),
    )


@pytest.mark.parametrize("words", [[], ["--json"], ["--markdown"]], ids=str)
def test_a_truth_that_earns_nothing_is_all_that_is_said(tmp_path, capsys, words):
    path = tmp_path / "my_rewards.py"
    path.write_text(
        "def mine(completions, solution, **kwargs):\n    return [float(text == '42') for text in completions]\n"
    )
    assert main(["audit", f"{path}:mine", *words]) == 1
    shown = capsys.readouterr().out
    assert (
        "The truth earns 0.000, no more than an empty completion" in shown
        or '"unpaid": "The truth earns 0.000' in shown
    )
    assert "Probable cause: other columns (columns=, --columns), or another form of answer" in shown
    assert "solution=" in shown
    assert "No hole" not in shown


def test_the_command_audits_the_usual_signature(tmp_path, capsys):
    path = tmp_path / "my_rewards.py"
    path.write_text(
        "from mirg_rewards import Target, presets\n"
        "def my_reward(completions, solution, **kwargs):\n"
        "    return presets.mirg_rl()(completions, [Target.from_json(wire) for wire in solution]).total.tolist()\n"
        "def boxed(completions, box, image, **kwargs):\n"
        "    return [float(b is None and '[]' in t or str(b) in t and f'\"image\": {i},' in t) for t, b, i in zip(completions, box, image)]\n"
        "def columns_of(target):\n"
        "    claim = target.claims[0] if target.claims else None\n"
        "    return {'image': claim and claim.image, 'box': claim and [round(1000 * side) for side in claim.box.corners]}\n"
    )
    assert main(["audit", f"{path}:my_reward"]) == 0
    assert "No hole in" in capsys.readouterr().out
    assert main(["audit", f"{path}:boxed", "--columns", f"{path}:columns_of"]) == 1
    assert "Holes: " in capsys.readouterr().out
    assert main(["audit", f"{path}:boxed"]) == 2
    assert "boxed takes the columns box, image" in capsys.readouterr().err


# The cause comes first


def noisy(answers, targets):
    return object_reward(answers, targets) + random.random()


class RunningMean:
    def __init__(self):
        self.total, self.count = 0.0, 1

    def __call__(self, answers, targets):
        earned = object_reward(answers, targets)
        self.total, self.count = self.total + float(earned.sum()), self.count + len(earned)
        return earned - self.total / self.count


def over_the_batch_mean(answers, targets):
    earned = object_reward(answers, targets) + format_reward(answers, targets)
    return earned - earned.mean()


def over_the_batch_deviation(answers, targets):
    earned = object_reward(answers, targets)
    return (earned - earned.mean()) / (earned.std(unbiased=False) + 1e-4)


def first_target_for_all(completion_targets):
    def reward(completions, target, **columns):
        return earned(completions, [target[0]] * len(completions))

    return reward


CAUSES = {
    "noise": (noisy, "deterministic"),
    "a running mean": (RunningMean(), "deterministic"),
    "the batch's mean": (over_the_batch_mean, "alone_or_in_a_batch"),
    "the batch's deviation": (over_the_batch_deviation, "alone_or_in_a_batch"),
    "one target for all": (first_target_for_all(None), "alone_or_in_a_batch"),
}


@pytest.mark.parametrize("name", CAUSES)
@pytest.mark.usefixtures("unchecked")
def test_noise_and_other_rows_are_blamed_on_what_they_break(name):
    reward, broken = CAUSES[name]
    with pytest.raises(AssertionError, match=f"^[^:]*: {broken} does not hold"):
        check_reward(reward, skip=["pickled"], max_examples=8)


def raises_on_an_empty_batch(answers, targets):
    return object_reward(answers, targets) + 0 * answers.claims.counts[0].float()


def raises_for_a_word(completions, solution, **kwargs):
    return [1 / ("Image" not in text) for text in completions]


def test_a_message_starts_with_the_cause_and_has_no_blank_line():
    for reward, start in [
        (
            raises_for_a_word,
            r"raises_for_a_word: never_raises does not hold: raised ZeroDivisionError: .* \(test_own_signatures\.py, line \d+\)\.\n  target ",
        ),
        (
            raises_on_an_empty_batch,
            r"raises_on_an_empty_batch: empty_batch does not hold: raised IndexError: .*\n  a batch without rows\n  earned ",
        ),
    ]:
        with pytest.raises(AssertionError, match=f"^{start}") as failure:
            check_reward(reward, max_examples=5)
        assert "" not in str(failure.value).splitlines()


def test_an_async_function_runs_where_a_loop_runs_already():
    async def in_a_notebook():
        return judge(awaited)([""], [Target((), (None,))])

    assert asyncio.run(in_a_notebook()) == [0.0]


def test_outputs_that_a_scorer_refuses_are_named_by_their_property():
    from mirg_rewards import Scorer

    def halves(answers, targets):
        return object_reward(answers, targets).double()

    def divides(answers, targets):
        return object_reward(answers, targets) / targets.claims.counts

    for reward, broken in ((halves, "form"), (divides, "finite")):
        with pytest.raises(AssertionError, match=f"{broken} does not hold: .*the reward '{reward.__name__}'"):
            check_reward(Scorer(GRAMMARS["mirg"], reward), skip=["pickled"])
    assert torch.is_grad_enabled()
