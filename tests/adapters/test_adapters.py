"""One table for all trainers: the same answers and targets give the numbers of a `Scorer`, through each trainer's own code.

A row of ADAPTERS takes texts, the wire forms of their targets and a grammar's name, goes through the trainer, and gives
what the trainer would train on. A trainer that is not installed is skipped; each has its place in CI.
"""

import asyncio
import json
import logging
import math
import re

import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Target, presets, render

TARGETS = [
    Target((Claim(2, Box(0.25, 0.25, 0.75, 0.75)),), ((56, 56), (28, 56))),
    Target((Claim(1, Box(0.0, 0.0, 0.5, 1.0)), Claim(3, Box(0.5, 0.5, 1.0, 1.0))), ((640, 480),) * 3),
    Target((Claim(1, Box(0.1, 0.2, 0.3, 0.4), label="dog"),), ((100, 100),)),
    Target((), ((100, 100), None)),
]
UNREADABLE = [
    "",
    "no idea",
    "Ω 第二张图 🐕 Image-2",
    '[{"image": 2, "bbox_2d": [NaN, 1e999, -1, 7]}]',
    '[{"image": 99999999999999999999, "bbox_2d": [0, 0, 1, 1]}',
    "<answer><answer></answer>",
    "[" * 2000,
]


def answers(target, grammar):
    """The truth, the truth in another image, every image's whole, and a box too many."""
    true = list(target.claims)
    moved = [Claim(claim.image % len(target.sizes) + 1, claim.box) for claim in true]
    whole = [Claim(image, Box(0.0, 0.0, 1.0, 1.0)) for image in range(1, len(target.sizes) + 1)]
    return [render(claims, grammar, target.sizes) for claims in (true, moved, whole, true + whole[:1])]


def through_trl(request, texts, wires, grammar, column="target"):
    pytest.importorskip("trl", reason="the extra mirg-rewards[trl] is not installed")
    import datasets
    from trl import GRPOConfig, GRPOTrainer

    from mirg_rewards.adapters.trl import wrap

    options = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": [], "num_generations": 2}
    trainer = GRPOTrainer(
        model=request.getfixturevalue("text_model"),
        reward_funcs=wrap(presets.mirg_rl(grammar=GRAMMARS[grammar]), column=column),
        args=GRPOConfig(str(request.getfixturevalue("tmp_path")), per_device_train_batch_size=2, **options),
        train_dataset=datasets.Dataset.from_list([{"prompt": "Where?"}]),
        processing_class=request.getfixturevalue("byte_tokenizer"),
    )
    prompts = [[{"role": "user", "content": "Where?"}]] * len(texts)
    rows = [{"prompt": prompt, "target": wire} for prompt, wire in zip(prompts, wires, strict=True)]
    completions = [[{"role": "assistant", "content": text}] for text in texts]
    return trainer._calculate_rewards(rows, prompts, completions, [[1]] * len(texts))[:, 0].tolist()


def through_verl(request, texts, wires, grammar):
    pytest.importorskip("verl", reason="verl is not installed: make test-trainers")
    rewards = request.getfixturevalue("verl_rewards")
    return [row["reward_score"] for row in rewards(texts, wires, grammar=grammar)]


def through_ms_swift(request, texts, wires, grammar, column="target"):
    pytest.importorskip("swift", reason="ms-swift has an environment of its own: make test-ms-swift")
    import torch
    from swift.rewards import orms
    from swift.rl_core.data import GRPOSample
    from swift.rl_core.grpo_algorithm import compute_rewards_per_func
    from swift.utils import import_external_file

    plugin = request.getfixturevalue("tmp_path") / "plugin.py"
    plugin.write_text(
        "from swift.rewards import orms\n"
        "from mirg_rewards import GRAMMARS, presets\n"
        "from mirg_rewards.adapters import ms_swift\n"
        f"orms['mirg'] = ms_swift.wrap(presets.mirg_rl(grammar=GRAMMARS['{grammar}']), column='{column}')\n"
    )
    import_external_file(str(plugin))
    turns = [[{"role": "user", "content": "Where?"}, {"role": "assistant", "content": text}] for text in texts]
    samples = [
        GRPOSample.from_row({"messages": messages, "target": wire}) for messages, wire in zip(turns, wires, strict=True)
    ]
    return compute_rewards_per_func(samples, [orms["mirg"](args=None)], None, torch.device("cpu"))[:, 0].tolist()


def through_easyr1(request, texts, wires, grammar):
    from mirg_rewards.adapters.easyr1 import compute_score

    inputs = [
        {"response": text, "response_length": len(text), "ground_truth": wire}
        for text, wire in zip(texts, wires, strict=True)
    ]
    return [score["overall"] for score in compute_score(inputs, grammar=grammar)]


def through_openrlhf(request, texts, wires, grammar):
    file = request.getfixturevalue("tmp_path") / "reward.py"
    file.write_text(
        "from mirg_rewards import GRAMMARS, presets\n"
        "from mirg_rewards.adapters import openrlhf\n"
        f"reward_func = openrlhf.wrap(presets.mirg_rl(grammar=GRAMMARS['{grammar}']))\n"
    )
    log = request.getfixturevalue("caplog")
    with log.at_level(logging.ERROR, "mirg_rewards"):
        found = [row["reward"] for row in request.getfixturevalue("openrlhf_rewards")(texts, wires, file)]
    if None in found:  # what the trainer drops of an error is in the log
        raise ValueError(log.messages[-1])
    return found


def through_verifiers(request, texts, wires, grammar, column="target"):
    vf = pytest.importorskip("verifiers.v1", reason="verifiers has an environment of its own: make test-verifiers")
    from mirg_rewards.adapters.verifiers import wrap

    class Data(vf.TaskData):
        target: str | dict | None = None

    class Task(vf.Task[Data]):
        mirg = vf.reward(wrap(presets.mirg_rl(grammar=GRAMMARS[grammar]), field=column))

    def reward(text, wire):
        data = Data(idx=0, target=wire)
        nodes = [vf.MessageNode(message=vf.AssistantMessage(content=text), sampled=True)]
        agent = vf.AgentInfo(config=vf.AgentConfig())
        trace = vf.Trace(agent=agent, task=vf.TraceTask(type="Task", data=data), nodes=nodes)
        asyncio.run(Task(data).score(trace))
        return trace.reward

    return [reward(text, wire) for text, wire in zip(texts, wires, strict=True)]


ADAPTERS = {
    "trl": through_trl,
    "verl": through_verl,
    "ms_swift": through_ms_swift,
    "easyr1": through_easyr1,
    "openrlhf": through_openrlhf,
    "verifiers": through_verifiers,
}
NAMES_COLUMNS = ("trl", "ms_swift", "verifiers")
"""Where the column of the target is named to us; to the others the trainer's own configuration names it."""
GIVES_NONE = ("trl", "ms_swift", "verifiers")
"""Where a completion may be None: a message without content."""


@pytest.fixture(params=ADAPTERS)
def adapter(request):
    def through(texts, wires, grammar="qwen3_json", **options):
        return ADAPTERS[request.param](request, texts, wires, grammar, **options)

    through.name = request.param
    return through


@pytest.mark.parametrize("form", [Target.to_json, lambda target: json.loads(target.to_json())], ids=["json", "mapping"])
def test_a_trainer_sees_the_numbers_of_the_scorer(adapter, form):
    grammar = GRAMMARS["qwen3_json"]
    pairs = [(text, target) for target in TARGETS for text in [*answers(target, grammar), *UNREADABLE]]
    texts, targets = map(list, zip(*pairs, strict=True))
    expected = presets.mirg_rl(grammar=grammar)(texts, targets).total.tolist()
    assert adapter(texts, [form(target) for target in targets]) == expected
    assert {0.0, 1.0} < set(expected)


def test_what_the_model_wrote_never_stops_a_run(adapter):
    texts = [*UNREADABLE, *([None] if adapter.name in GIVES_NONE else [])]
    found = adapter(texts, [TARGETS[0].to_json()] * len(texts))
    assert found == pytest.approx([0.0] * len(texts), abs=0.5)
    assert all(math.isfinite(reward) for reward in found)


MISTAKES = {
    "a box without area": (
        {"claims": [{"image": 1, "box": [0.5, 0, 0.5, 1]}], "sizes": [None]},
        r"claims\[0\].box must have an area",
    ),
    "a box in pixels": (
        {"claims": [{"image": 1, "box": [10, 10, 200, 300]}], "sizes": [None]},
        r"must be in fractions .*; target_from_boxes turns pixels or thousandths into a Target",
    ),
    "an image that is not there": ({"claims": [{"image": 2}], "sizes": [None]}, "must be a number from 1 to 1"),
    "no JSON": ("a dog", "target: invalid json"),
    "sizes that pixels need": ({"claims": [], "sizes": [None]}, r"sizes\[0\] must be known.*counts in pixels"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_target_stops_the_run_and_is_told(adapter, mistake):
    wire, message = MISTAKES[mistake]
    grammar = "qwen25_json" if "pixels need" in mistake else "qwen3_json"
    with pytest.raises(Exception, match=message) as raised:
        adapter(["no idea"], [json.dumps(wire) if isinstance(wire, dict) else wire], grammar)
    assert re.search(r"(row|query|task) \d+.* (column|field) ", str(raised.value)), "which row, and where in it"


def test_a_row_without_a_target_is_left_out_or_stops_the_run(adapter):
    wires = [TARGETS[0].to_json(), None]
    if adapter.name == "trl":
        found = adapter(["no idea"] * 2, wires)
        assert found[0] == 0.0
        assert math.isnan(found[1]), "TRL leaves such a row out"
    else:
        with pytest.raises(Exception, match=r"there is no target; it takes Target.to_json\(\)"):
            adapter(["no idea"] * 2, wires)


def test_a_wrong_name_of_the_column_is_told(adapter):
    if adapter.name not in NAMES_COLUMNS:
        pytest.skip("the trainer's own configuration names the column")
    with pytest.raises(Exception, match=r"'truth'.*Target.to_json\(\)"):
        adapter(["no idea"], [TARGETS[0].to_json()], column="truth")
