"""The TRL adapter through TRL itself: a tiny multi-image model, real trainers, on the CPU."""

import importlib.util
import pickle
import re
from pathlib import Path

import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Target, presets, render
from mirg_rewards.adapters import trl as adapter

pytest.importorskip("trl", reason="the extra mirg-rewards[trl] is not installed")

TARGET = Target((Claim(2, Box(0.25, 0.25, 0.75, 0.75)),), ((56, 56), (28, 56)))
RIGHT = render(TARGET.claims, GRAMMARS["mirg"], TARGET.sizes, think="Image-2.")
WRONG_IMAGE = render([Claim(1, Box(0.25, 0.25, 0.75, 0.75))], GRAMMARS["mirg"], TARGET.sizes)


def chat(text):
    return [{"role": "assistant", "content": text}]


def test_one_float_a_row_and_none_where_there_is_no_target():
    reward = adapter.wrap(presets.mirg_rl())
    wires = [TARGET.to_json(), TARGET.to_json(), None]
    earned = reward(
        prompts=["p"] * 3,
        completions=[chat(RIGHT), chat(WRONG_IMAGE), chat(RIGHT)],
        completion_ids=[[1]] * 3,
        target=wires,
    )
    assert earned == [pytest.approx(1.0), pytest.approx(0.1), None]
    assert all(isinstance(value, float) for value in earned[:2])


def test_targets_may_be_mappings_as_datasets_makes_them():
    import datasets

    struct = {"claims": [{"image": 2, "box": [0.25, 0.25, 0.75, 0.75]}], "sizes": [[56, 56], [28, 56]]}
    labelled = {"claims": [{"image": 1, "box": [0, 0, 1, 1], "label": "dog"}], "sizes": [[56, 56]], "version": 1}
    rows = datasets.Dataset.from_list([{"target": struct}, {"target": labelled}])
    assert rows[0]["target"]["version"] is None, "datasets fills the keys that other rows have"
    reward = adapter.wrap(presets.mirg_rl())
    assert reward(completions=[RIGHT, "?"], target=rows["target"][:]) == [pytest.approx(1.0), 0.0]


def test_terms_share_one_scoring_and_their_weighted_sum_is_the_reward():
    calls = []
    scorer = presets.mirg_rl()

    class Counting(type(scorer)):
        def __call__(self, responses, targets):
            calls.append(len(responses))
            return super().__call__(responses, targets)

    functions, weights = adapter.wrap_terms(Counting(scorer.grammar, scorer.reward))
    completions, wires = [chat(RIGHT), chat(WRONG_IMAGE)], [TARGET.to_json()] * 2
    terms = [function(completions=completions, target=wires) for function in functions]
    assert calls == [2]
    whole = adapter.wrap(scorer)(completions=completions, target=wires)
    assert [sum(w * t[row] for w, t in zip(weights, terms, strict=True)) for row in (0, 1)] == pytest.approx(whole)
    assert functions[0](completions=[chat("?")], target=wires[:1]) == [0.0], "another batch is scored anew"
    assert calls == [2, 1]


def test_a_batch_that_changed_in_place_is_not_taken_for_the_last():
    functions, _ = adapter.wrap_terms(presets.mirg_rl())
    completions, wires = [chat(RIGHT)], [TARGET.to_json()]
    assert functions[1](completions=completions, target=wires) == [1.0]
    completions[0][0]["content"] = WRONG_IMAGE
    assert functions[1](completions=completions, target=wires) == [0.0]


def test_functions_pickle_and_keep_their_names():
    functions, _ = adapter.wrap_terms(presets.mirg_rl(), name="run1")
    functions.append(adapter.wrap(presets.mirg_rl(), name="total"))
    for function in functions:
        function(completions=[RIGHT], target=[TARGET.to_json()])
        again = pickle.loads(pickle.dumps(function))
        assert again.__name__ == function.__name__
        assert again(completions=[RIGHT], target=[TARGET.to_json()]) == function(
            completions=[RIGHT], target=[TARGET.to_json()]
        )
    assert [function.__name__ for function in functions] == ["run1_format", "run1_image", "run1_object", "total"]


def test_mistakes_name_row_column_and_fix():
    reward = adapter.wrap(presets.mirg_rl())
    with pytest.raises(ValueError, match=r"needs a column 'target'.*it has \['answer'\].*wrap\(scorer, column=...\)"):
        reward(completions=["a"], answer=["{}"])
    with pytest.raises(ValueError, match=r"row 1, column 'target': .*claims\[0\].image must be a number from 1 to 1"):
        reward(completions=["a", "b"], target=[TARGET.to_json(), {"claims": [{"image": 2}], "sizes": [None]}])
    with pytest.raises(ValueError, match="row 0, column 'target': target: invalid json"):
        reward(completions=["a"], target=["not json"])
    with pytest.raises(TypeError, match="wrap_terms needs a scorer whose reward is a Weighted"):
        adapter.wrap_terms(
            presets.mirg_rl().__class__(GRAMMARS["mirg"], lambda answers, targets: answers.defects.float())
        )


def test_sizes_that_a_target_lacks_come_from_the_images():
    from PIL import Image

    target = Target((Claim(2, Box(0.0, 0.0, 0.5, 1.0)),), (None, None))
    text = '<think></think><answer>[{"bbox_2d": [0, 0, 28, 56], "image": 2}]</answer>'
    grammar = GRAMMARS["vlm_r1"]
    reward = adapter.wrap(presets.mirg_rl(grammar=grammar))
    images = [[Image.new("RGB", (112, 112)), Image.new("RGB", (56, 56))]]
    assert reward(completions=[text], target=[target.to_json()], images=images) == [pytest.approx(1.0)]
    with pytest.raises(ValueError, match=r"row 0, column 'target': sizes\[0\] must be known.*counts in pixels"):
        reward(completions=[text], target=[target.to_json()])


@pytest.fixture(scope="module")
def tiny():
    path = Path(__file__).parent.parent / "examples/tiny_vlm.py"
    spec = importlib.util.spec_from_file_location("tiny_vlm", path)
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["tiny_vlm"] = module
    spec.loader.exec_module(module)
    return module.build(module.SMOKE, [RIGHT, WRONG_IMAGE, "Find the dog. Image-1:Image-2:Image-3:"] * 4)


@pytest.fixture
def trainer(tiny, tmp_path):
    import datasets
    from PIL import Image
    from trl import GRPOConfig, GRPOTrainer

    def row(count, target):
        parts = [
            part for k in range(count) for part in ({"type": "text", "text": f"Image-{k + 1}:"}, {"type": "image"})
        ]
        prompt = [{"role": "user", "content": [*parts, {"type": "text", "text": "Find the dog."}]}]
        return {"prompt": prompt, "images": [Image.new("RGB", (56, 56)) for _ in range(count)], "target": target}

    three = Target((), ((56, 56),) * 3).to_json()
    rows = datasets.Dataset.from_list([row(2, TARGET.to_json()), row(3, three), row(2, None), row(3, three)])

    def make(functions, **options):
        model, processor = tiny
        settings = {
            "output_dir": str(tmp_path), "use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": [],
            "save_strategy": "no", "per_device_train_batch_size": 8, "num_generations": 2, "max_completion_length": 8,
            "max_steps": 1, "logging_steps": 1, "disable_tqdm": True,
        }  # fmt: skip
        config = GRPOConfig(**{**settings, **options})
        return GRPOTrainer(
            model=model, reward_funcs=functions, args=config, train_dataset=rows, processing_class=processor
        )

    return make


def test_a_real_training_step_on_several_images(trainer):
    training = trainer(adapter.wrap(presets.mirg_rl()))
    training.train()
    logged = training.state.log_history[0]
    assert "rewards/mirg/mean" in logged
    assert {"mirg/format", "mirg/image", "mirg/object", "mirg/defective"} <= logged.keys()
    assert logged["mirg/defective"] == 1.0, "random weights write nothing in form"


def test_a_real_training_step_with_terms_of_their_own(trainer):
    functions, weights = adapter.wrap_terms(presets.mirg_rl())
    training = trainer(functions, reward_weights=weights, multi_objective_aggregation="normalize_then_sum")
    training.train()
    assert {f"rewards/mirg_{term}/mean" for term in ("format", "image", "object")} <= training.state.log_history[
        0
    ].keys()


def test_trl_computes_the_rewards_that_the_scorer_does(trainer):
    # Random weights write noise, so real answers are put where TRL computes rewards from completions.
    training = trainer(adapter.wrap(presets.mirg_rl()))
    rows = [{"prompt": [{"role": "user", "content": "x"}], "target": TARGET.to_json()} for _ in range(2)]
    prompts = [row["prompt"] for row in rows]
    rewards = training._calculate_rewards(rows, prompts, [chat(RIGHT), chat(WRONG_IMAGE)], [[1], [2]])
    assert rewards[:, 0].tolist() == pytest.approx([1.0, 0.1])
    assert presets.mirg_rl()([RIGHT, WRONG_IMAGE], [TARGET, TARGET]).total.tolist() == pytest.approx([1.0, 0.1])


@pytest.mark.parametrize("grammar", ["mirg", "qwen25_json"])
def test_the_page_of_trls_completions_shows_truths_sizes_and_groups(trainer, tmp_path, grammar):
    from mirg_rewards.cli import main
    from mirg_rewards.report.rollouts import read_rollouts

    training = trainer(adapter.wrap(presets.mirg_rl(grammar=GRAMMARS[grammar])), log_completions=True)
    training.train()
    found = [rollout for chunk, _ in read_rollouts([tmp_path]) for rollout in chunk]
    assert len(found) == 8
    known = [rollout for rollout in found if rollout.target is not None]
    assert {rollout.target.sizes for rollout in known} == {((56, 56), (28, 56)), ((56, 56),) * 3}
    assert {rollout.prompt for rollout in found} == {
        f"Image-1: Image-2: {rest}Find the dog." for rest in ("", "Image-3: ")
    }
    assert all(set(rollout.terms) == {"format", "image", "object"} for rollout in known)
    assert [rollout.group for rollout in known[::2]] == [rollout.group for rollout in known[1::2]]
    page = tmp_path / "page.html"
    assert main(["report", str(tmp_path), "--output", str(page), "--grammar", grammar]) == 0
    assert re.search(r'"true": ?\[\{', page.read_text()), "a truth of a claim, not only empty ones"
    assert main(["doctor", str(tmp_path), "--grammar", grammar]) == 1, "random weights write nothing in form"
