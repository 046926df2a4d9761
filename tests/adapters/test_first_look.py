"""Every adapter prints the diagnosis of its first answers once, on stderr."""

import asyncio
import pickle
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Target, presets, render
from mirg_rewards.adapters import areal, datasets, easyr1, first_look, ms_swift, openrlhf, slime, trl, verifiers, verl
from mirg_rewards.adapters.first_look import FirstLook, shared_look
from mirg_rewards.parsing.grammars import has_default_resize

SIZE = (1920, 1080)
TARGETS = [
    Target((Claim(2, Box(0.01 * number, 0.1, 0.5 + 0.02 * number, 0.6 + 0.02 * number)),), (SIZE, SIZE))
    for number in range(16)
]
WIRES = [target.to_json() for target in TARGETS]
PIXELS_GRAMMAR, RIGHT_GRAMMAR = GRAMMARS["qwen25_json"], GRAMMARS["qwen3_json"]
TEXTS = [render(target.claims, RIGHT_GRAMMAR, target.sizes) for target in TARGETS]
SCORER = presets.mirg_rl(grammar=PIXELS_GRAMMAR)
ROWS = list(zip(TEXTS, WIRES, strict=True))


def one_by_one(function):
    return [function(text, wire) for text, wire in ROWS]


def task(wire):
    return SimpleNamespace(data=SimpleNamespace(target=wire, idx=0))


def calls(**look):
    """For each adapter, a function that wraps the scorer, and scores all rows by one wrapper."""
    return {
        "trl": lambda: trl.wrap(SCORER, **look)(completions=TEXTS, target=WIRES),
        "trl terms": lambda: [
            function(completions=TEXTS, target=WIRES) for function in trl.wrap_terms(SCORER, **look)[0]
        ],
        "ms_swift": lambda: ms_swift.wrap(SCORER, **look)()(TEXTS, target=WIRES),
        "ms_swift terms": lambda: [
            kind()(TEXTS, target=WIRES) for kind in ms_swift.wrap_terms(SCORER, **look).values()
        ],
        "datasets": lambda: datasets.wrap(SCORER, **look)({"completion": TEXTS, "target": WIRES}),
        "easyr1": lambda: easyr1.wrap(SCORER, **look)(
            [{"response": text, "ground_truth": wire} for text, wire in ROWS]
        ),
        "verl": lambda: one_by_one(lambda text, wire, reward=verl.wrap(SCORER, **look): reward("", text, wire)),
        "openrlhf": lambda: one_by_one(
            lambda text, wire, reward=openrlhf.wrap(SCORER, **look): reward([f"?{text}"], ["?"], [wire])
        ),
        "areal": lambda: one_by_one(
            lambda text, wire, reward=areal.wrap(SCORER, **look): reward("?", text, target=wire)
        ),
        "slime": lambda: one_by_one(
            lambda text, wire, reward=slime.wrap(SCORER, **look): asyncio.run(
                reward(None, SimpleNamespace(index=0, response=text, label=wire))
            )
        ),
        "verifiers": lambda: one_by_one(
            lambda text, wire, reward=verifiers.wrap(SCORER, **look): asyncio.run(
                reward(task(wire), SimpleNamespace(last_reply=text))
            )
        ),
    }


@pytest.fixture(autouse=True)
def _rank(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setattr(first_look, "_LOOKS", {})


@pytest.mark.parametrize("adapter", calls())
def test_an_adapter_prints_the_diagnosis_of_its_first_answers_once(adapter, capsys):
    calls(first_look=16)[adapter]()
    printed = capsys.readouterr()
    words = " ".join(printed.err.split())
    assert words.count("first look at 16 answers (first_look=0 turns it off)") == 1
    assert words.count("Hint: Read as 0 to 1000") == 1
    assert words.count("Nobody confirmed max_pixels") == 1
    assert max(map(len, printed.err.splitlines())) <= 80
    assert not printed.out


@pytest.mark.parametrize("adapter", calls())
@pytest.mark.parametrize("count", [0, 17, None], ids=["off", "too few answers", "the default"])
def test_an_adapter_is_quiet_where_it_has_not_seen_enough(adapter, count, capsys):
    calls(**({} if count is None else {"first_look": count}))[adapter]()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("module", [verl, easyr1])
def test_a_function_that_is_rebuilt_for_each_call_prints_once(module, capsys):
    options = {"grammar": "qwen25_json", "first_look": 16}
    for text, wire in 3 * ROWS:
        if module is verl:
            verl.compute_score("", text, wire, **options)
        else:
            easyr1.compute_score({"response": text, "ground_truth": wire}, **options)
    assert capsys.readouterr().err.count("first look at") == 1


def test_what_is_unpickled_for_each_call_prints_once(capsys):
    reward = areal.wrap(SCORER, first_look=16)
    for text, wire in 3 * ROWS:
        pickle.loads(pickle.dumps(reward))("?", text, target=wire)
    assert capsys.readouterr().err.count("first look at") == 1


def test_threads_print_once(capsys):
    look, scores = (
        FirstLook(SCORER, 40),
        [SCORER([text], [target]) for text, target in zip(TEXTS, TARGETS, strict=True)],
    )
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(look, 8 * scores))
    assert capsys.readouterr().err.count("first look at 40 answers") == 1
    assert not look.seen


def test_only_the_first_of_several_ranks_prints(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "3")
    FirstLook(SCORER, 16)(SCORER(TEXTS, TARGETS))
    assert capsys.readouterr().err == ""


def test_a_fault_of_the_diagnosis_does_not_end_the_run(capsys, monkeypatch):
    monkeypatch.setattr(first_look, "diagnose", lambda _: 1 / 0)
    FirstLook(SCORER, 16)(SCORER(TEXTS, TARGETS))
    assert "first look failed, and training goes on: ZeroDivisionError" in capsys.readouterr().err


def test_what_a_model_writes_never_ends_the_run(capsys):
    texts = [
        "",
        "\0",
        "[" * 5000,
        "<answer>" * 100,
        "\ud800",
        '[{"bbox_2d": [1e308, -1e308, 9, 9]}]',
        "Image-0",
        "9" * 999,
    ]
    FirstLook(SCORER, 8)(SCORER(texts, TARGETS[:8]))
    assert "first look at 8 answers" in capsys.readouterr().err


@pytest.mark.parametrize("count", [-1, 2.5, True, "64"])
def test_a_count_that_is_none_is_named(count):
    with pytest.raises(ValueError, match="first_look: expected a number of answers from 0"):
        trl.wrap(SCORER, first_look=count)


def test_right_sizes_need_no_confirmation(capsys):
    targets = [Target(target.claims, target.sizes, seen_sizes=target.sizes) for target in TARGETS]
    FirstLook(SCORER, 16)(SCORER(TEXTS, targets))
    small = [Target(target.claims, ((400, 300), (400, 300))) for target in TARGETS]
    FirstLook(SCORER, 16)(SCORER(TEXTS, small))
    assert "max_pixels:" not in capsys.readouterr().err


def test_default_resizes_are_those_of_the_table():
    with_defaults = {name for name, grammar in GRAMMARS.items() if has_default_resize(grammar)}
    assert with_defaults == {name for name, grammar in GRAMMARS.items() if grammar.resize is not None}


def test_equal_scorers_share_a_look_and_others_do_not():
    assert shared_look(SCORER) is shared_look(presets.mirg_rl(grammar=PIXELS_GRAMMAR))
    assert shared_look(SCORER) is not shared_look(presets.mirg_rl())
