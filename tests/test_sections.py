import pytest

from mirg_rewards import Defect
from mirg_rewards.parsing.sections import cut

NONE = Defect(0)
CASES = [
    # text, think, answer, defects where both parts are required
    ("<think>a</think><answer>b</answer>", "a", "b", NONE),
    ("<think>a</think>\n\n<answer>b</answer>\n", "a", "b", NONE),
    ("<think>a</think><answer>b</answer><|im_end|>", "a", "b", NONE),
    ("<think></think><answer></answer>", "", "", NONE),
    ("<think>maybe <answer>x</answer></think><answer>b</answer>", "maybe <answer>x</answer>", "b", NONE),
    ("<Think>a</Think><Answer>b</Answer>", "a", "b", Defect.REPAIRED),
    ("<think>a <answer>b</answer>", "a ", "b", Defect.UNCLOSED),
    ("<think>a</think><answer>b", "a", "b", Defect.UNCLOSED),
    ("<answer>b</answer>", None, "b", Defect.NO_THINK),
    ("a</think><answer>b</answer>", "a", "b", Defect.NO_THINK),
    ("<think>a</think>well<answer>b</answer>", "a", "b", Defect.TEXT_OUTSIDE),
    ("so <think>a</think><answer>b</answer>", "a", "b", Defect.TEXT_OUTSIDE),
    ("<think>a</think><answer>b</answer> done", "a", "b", Defect.TEXT_OUTSIDE),
    ("<think>a</think><think>b</think><answer>c</answer>", "a", "c", Defect.TEXT_OUTSIDE),
    ("<think>a</think><answer>b</answer><answer>c</answer>", "a", "c", Defect.TWO_ANSWERS | Defect.TEXT_OUTSIDE),
    ("<think>a</think><answer>b<answer>c</answer></answer>", "a", "c", Defect.TWO_ANSWERS | Defect.TEXT_OUTSIDE),
    ("<think>a <answer>x</answer></think>", "a <answer>x</answer>", "", Defect.NO_ANSWER),
    ("<think>a", "a", "", Defect.UNCLOSED | Defect.NO_ANSWER),
    ("a</think> b", "a", " b", Defect.TEXT_OUTSIDE),
    ("b", None, "b", Defect.NO_THINK | Defect.TEXT_OUTSIDE),
    ("", None, "", Defect.NO_THINK | Defect.NO_ANSWER),
    ("İİİ<think>a</think><answer>b</answer>", "a", "b", Defect.TEXT_OUTSIDE),
]


@pytest.mark.parametrize(("text", "think", "answer", "defects"), CASES, ids=[case[0][:40] or "empty" for case in CASES])
def test_parts_and_defects(text, think, answer, defects):
    thought, (start, end), bits = cut(text, "required")
    assert (None if thought is None else text[slice(*thought)]) == think
    assert text[start:end] == answer
    assert Defect(bits) == defects


@pytest.mark.parametrize("text", [case[0] for case in CASES])
def test_optional_parts_are_read_the_same_way(text):
    assert cut(text, "optional")[1] == cut(text, "required")[1]


def test_a_prompt_may_have_opened_the_think_part():
    text = "a</think><answer>b</answer>"
    assert cut(text, "prefilled") == ((0, 1), (17, 18), 0)
    assert Defect(cut(text, "required")[2]) == Defect.NO_THINK


def test_a_free_answer_has_no_defect_for_its_missing_parts():
    assert cut("a dog", "optional")[2] == 0


def test_ten_thousand_thoughts_with_answers_are_cut_in_bounded_time():
    text = "<think><answer>x</answer></think>" * 10_000
    assert cut(text, "required")[1] == (len(text), len(text))
    text += "<answer>y</answer>"
    assert text[slice(*cut(text, "required")[1])] == "y"
