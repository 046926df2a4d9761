from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mirg_rewards import GRAMMARS, PIXELS, Box, Claim, Target, render
from mirg_rewards.data.mig_bench import Entry
from mirg_rewards.evaluation import evaluate, evaluate_mig_bench, evaluate_mig_bench_officially, resampling, summarize
from mirg_rewards.report.tables import evaluation_rows, markdown_table, terminal_table

GRAMMAR = GRAMMARS["mirg"]
WHOLE, LEFT = Box(0.0, 0.0, 1.0, 1.0), Box(0.0, 0.0, 0.5, 1.0)
TARGET = Target((Claim(2, WHOLE),), sizes=(None, None))


def said(*claims):
    return render(claims, GRAMMAR, (None, None), think="so")


def means(response, target=TARGET, **options):
    return evaluate([response], [target], GRAMMAR, **options).mean.means


boxes = st.tuples(*[st.integers(0, 9)] * 2, *[st.integers(1, 10)] * 2).map(
    lambda corner: Box(
        min(corner[0], corner[2] - 1) / 10, min(corner[1], corner[3] - 1) / 10, corner[2] / 10, corner[3] / 10
    )
)
targets = st.lists(st.builds(Claim, st.integers(1, 2), boxes), max_size=4).map(
    lambda claims: Target(tuple(claims), sizes=(None, None))
)


@given(st.lists(targets, min_size=1, max_size=5))
def test_the_truth_is_met_in_full(rows):
    evaluation = evaluate([said(*target.claims) for target in rows], rows, GRAMMAR)
    assert evaluation.mean.means == pytest.approx(
        dict.fromkeys(("acc@0.3", "acc@0.5", "acc@0.7", "mean_iou", "image_accuracy", "format"), 1) | {"unparsed": 0}
    )


@given(st.lists(st.tuples(targets, targets), min_size=2, max_size=6), st.randoms())
def test_an_entry_counts_alike_wherever_it_stands(rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    answers, truths = [said(*claimed.claims) for claimed, _ in rows], [target for _, target in rows]
    straight = evaluate(answers, truths, GRAMMAR)
    shuffled = evaluate([answers[i] for i in order], [truths[i] for i in order], GRAMMAR)
    for metric, values in straight.values.items():
        assert np.array_equal(values[order], shuffled.values[metric])


@pytest.mark.parametrize(
    ("response", "iou", "image", "unparsed"),
    [
        (said(Claim(2, WHOLE)), 1, 1, 0),
        (said(Claim(2, LEFT)), 0.5, 1, 0),
        (said(Claim(1, WHOLE)), 0, 0, 0),
        (said(Claim(2, LEFT), Claim(2, WHOLE)), 0.5, 0, 0),
        (said(), 0, 0, 0),
        ("I do not know.", 0, 0, 1),
        ("", 0, 0, 1),
    ],
    ids=["right", "half", "wrong image", "two boxes", "nothing", "no answer", "empty"],
)
def test_a_box_counts_once_and_in_its_image(response, iou, image, unparsed):
    found = means(response)
    assert (found["mean_iou"], found["image_accuracy"], found["unparsed"]) == (iou, image, unparsed)
    assert (found["acc@0.5"], found["acc@0.7"]) == (iou >= 0.5, iou >= 0.7)


def test_nothing_to_find_is_met_by_claiming_nothing():
    nothing = Target((), sizes=(None, None))
    assert means(said(), nothing)["acc@0.7"] == means(said(), nothing)["image_accuracy"] == 1
    assert means(said(Claim(1, WHOLE)), nothing)["acc@0.3"] == 0
    assert means("no idea", nothing)["acc@0.3"] == 0


@pytest.mark.parametrize("tenths", range(1, 10))
def test_an_iou_of_exactly_the_threshold_reaches_it(tenths):
    response = said(Claim(2, Box(0.0, 0.0, tenths / 10, 1.0)))
    assert means(response, thresholds=[tenths / 10])[f"acc@{tenths / 10}"] == 1


def test_an_image_left_unsaid_is_wrong_unless_the_question_states_it():
    response = '<think>so</think><answer>[{"bbox_2d": [0, 0, 1000, 1000]}]</answer>'
    assert means(response)["acc@0.3"] == 0
    assert means(response, unsaid_images=[None])["acc@0.3"] == 0
    assert means(response, unsaid_images=[2])["acc@0.7"] == 1
    assert means(response, unsaid_images=[1])["acc@0.3"] == 0
    assert means(said(Claim(1, WHOLE)), unsaid_images=[2])["image_accuracy"] == 0


def test_the_mean_weighs_groups_alike_and_the_other_entries():
    evaluation = evaluate(
        [said(Claim(2, WHOLE))] * 3 + [""], [TARGET] * 4, GRAMMAR, groups=["many", "many", "many", "one"]
    )
    assert evaluation.mean["acc@0.5"] == 0.5
    assert evaluation.micro_average["acc@0.5"] == 0.75
    assert {group: summary.n for group, summary in evaluation.by_group.items()} == {"many": 3, "one": 1}


def test_the_interval_of_many_entries_is_the_normal_one():
    """The bootstrap agrees with the textbook where the textbook is right."""
    generator = np.random.default_rng(1)
    iou, rate = generator.random(2000), (generator.random(2000) < 0.3).astype(float)
    ends = summarize({"iou": iou, "rate": rate}).mean.intervals
    for name, values in (("iou", iou), ("rate", rate)):
        half = 1.96 * values.std() / 2000**0.5
        assert ends[name] == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05 * half)


def test_scipys_bootstrap_gives_the_same_interval():
    values = np.random.default_rng(2).random(60) ** 3
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=10_000, rng=0).confidence_interval
    ours = summarize({"iou": values}).mean.intervals["iou"]
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.01)
    assert ours[0] < theirs.low < theirs.high < ours[1], (
        "a bootstrap of few entries is too narrow, ours makes that good"
    )


def test_all_right_is_no_certainty():
    assert summarize({"rate": [0] * 100}).mean.intervals["rate"] == pytest.approx((0, 0.0370), abs=1e-4)
    assert summarize({"rate": [1] * 100}).mean.intervals["rate"] == pytest.approx((0.9630, 1), abs=1e-4)


def test_entries_of_one_cluster_are_right_or_wrong_together():
    right = np.random.default_rng(3).random(50) < 0.5
    apart = summarize({"rate": right}).mean.intervals["rate"]
    copied = summarize({"rate": right.repeat(8)}, clusters=np.arange(50).repeat(8).tolist()).mean.intervals["rate"]
    blind = summarize({"rate": right.repeat(8)}).mean.intervals["rate"]
    assert copied == pytest.approx(apart, abs=0.02), "eight copies of an entry tell no more than one"
    assert blind[1] - blind[0] < 0.5 * (copied[1] - copied[0])


def test_the_law_for_very_many_entries_is_that_of_the_draws(monkeypatch):
    values = np.random.default_rng(4).random((3000, 2))
    clusters = np.arange(3000) // 3
    drawn = resampling.resampled_means(values, clusters, np.random.default_rng(0), 4000)
    flipped = resampling.sign_flip_means(values - 0.5, clusters, np.random.default_rng(0), 4000)
    monkeypatch.setattr(resampling, "_MAX_CLUSTERS", 10)
    normal = resampling.resampled_means(values, clusters, np.random.default_rng(0), 4000)
    normal_flipped = resampling.sign_flip_means(values - 0.5, clusters, np.random.default_rng(0), 4000)
    for one, other in ((drawn, normal), (flipped, normal_flipped)):
        assert np.cov(one.T) == pytest.approx(np.cov(other.T), rel=0.15, abs=4e-6)
        assert one.mean(0) == pytest.approx(other.mean(0), abs=5e-4)


def test_the_same_answers_have_the_same_interval():
    values = {"iou": np.random.default_rng(5).random(30)}
    assert summarize(values).mean == summarize(values).mean
    assert summarize(values, seed=1).mean != summarize(values).mean


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from("abc")), min_size=1, max_size=30))
def test_every_interval_holds_its_mean_and_stays_between_0_and_1(rows):
    evaluation = summarize({"iou": [value for value, _ in rows]}, [group for _, group in rows])
    for summary in (*evaluation.by_group.values(), evaluation.mean, evaluation.micro_average):
        low, high = summary.intervals["iou"]
        assert -1e-9 <= low <= summary["iou"] + 1e-9
        assert summary["iou"] - 1e-9 <= high <= 1 + 1e-9


def right(generator, count, rate, alike=0.0):
    """Answers that are right as often as `rate`, those of a cluster the more alike the higher `alike`."""
    common = generator.random(count[0])[:, None] < rate
    own = generator.random(count) < rate
    return np.where(generator.random(count) < alike, common, own).ravel()


def held(draw, truth, times, row="mean"):
    """How often the interval of what `draw` gives holds the truth."""
    hits = 0
    for seed in range(times):
        values, groups, clusters = draw(np.random.default_rng(seed))
        low, high = getattr(summarize({"rate": values}, groups, clusters=clusters, resamples=1000), row).intervals[
            "rate"
        ]
        hits += low <= truth <= high
    return hits / times


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    groups = ["a"] * 40 + ["b"] * 160

    def draw(generator):
        return np.concatenate([right(generator, (40, 1), 0.2), right(generator, (160, 1), 0.9)]), groups, None

    assert 0.92 <= held(draw, (0.2 + 0.9) / 2, 300) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5, 0.9])
@pytest.mark.parametrize(("clusters", "size", "alike"), [(100, 1, 0.0), (500, 1, 0.0), (60, 5, 0.8), (15, 4, 0.5)])
def test_intervals_hold_the_truth_of_rates_and_clusters(rate, clusters, size, alike):
    names = np.arange(clusters).repeat(size).tolist()

    def draw(generator):
        return right(generator, (clusters, size), rate, alike), None, names

    # One cluster or two that are ever right: as good as it gets.
    assert held(draw, rate, 500) >= (0.92 if size == 1 or clusters * rate > 2 else 0.87)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evaluate([], [], GRAMMAR), "at least one entry"),
        (lambda: evaluate(["", ""], [TARGET], GRAMMAR), "2 responses, 1 targets"),
        (
            lambda: evaluate([""], [TARGET], GRAMMAR, groups=["a", "b"]),
            "groups needs one entry for each of the 1 targets",
        ),
        (lambda: evaluate([""], [TARGET], GRAMMAR, unsaid_images=[]), "unsaid_images needs"),
        (lambda: evaluate([""], [TARGET], replace(GRAMMAR, space=PIXELS)), "row 0: sizes"),
        (lambda: evaluate_mig_bench([], [""], GRAMMAR), "responses needs one for each of the 0 entries, got 1"),
    ],
)
def test_a_callers_mistake_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def entry(position, answer=(0.0, 0.0, 1.0, 1.0), **changes):
    values = {"task": "common_object", "how": "question:nth_image", "target_image": 2} | changes
    return Entry(position, images=("a", "b"), question="", answer=answer, **values)


def test_an_inverted_truth_is_left_out_or_missed():
    entries = [entry(0), entry(1, (0.5, 0.0, 0.2, 1.0))]
    responses = [said(Claim(2, WHOLE))] * 2
    left_out = evaluate_mig_bench(entries, responses, GRAMMAR)
    counted = evaluate_mig_bench(entries, responses, GRAMMAR, count_unhittable=True)
    official = evaluate_mig_bench_officially(entries, responses, grammar=GRAMMAR)
    assert [(each.mean.n, each.mean["acc@0.3"]) for each in (left_out, counted, official)] == [
        (1, 1),
        (2, 0.5),
        (2, 0.5),
    ]
    assert [each.mean["image_accuracy"] for each in (left_out, counted, official)] == [1, 1, 1]


def test_tasks_come_in_the_order_of_the_papers_and_entries_in_that_of_the_file():
    entries = [entry(0, task="region", how="question:source_image"), entry(1, task="diff", how="protocol:second")]
    evaluation = evaluate_mig_bench_officially(entries, ["(0,0),(1000,1000)", ""])
    assert list(evaluation.by_group) == ["diff", "region"]
    assert evaluation.values["unparsed"].tolist() == [0, 1]


def test_only_a_stated_image_stands_in_for_one_that_is_not_named():
    entries = [entry(0), entry(1, task="diff", how="protocol:second")]
    responses = ["<think>so</think><answer>(0,0),(1000,1000)</answer>"] * 2
    grammar = GRAMMARS["univg_r1"]
    assert evaluate_mig_bench(entries, responses, grammar).micro_average["acc@0.5"] == 0
    stated = evaluate_mig_bench(entries, responses, grammar, image_from_question=True)
    assert [stated.by_group[task]["acc@0.5"] for task in ("diff", "common_object")] == [0, 1]


def test_pixels_need_the_sizes_of_the_entrys_images():
    grammar = replace(GRAMMARS["mig"], space=PIXELS)
    response = "<think>so</think><answer>Image-2: (0,0),(640,480)</answer>"
    with pytest.raises(ValueError, match=r"entry 3 has no sizes.* 2 images as \"sizes\""):
        evaluate_mig_bench([entry(3)], [response], grammar)
    sized = replace(entry(3), sizes=((10, 10), (640, 480)))
    assert evaluate_mig_bench([sized], [response], grammar).mean["mean_iou"] == 1
    assert evaluate_mig_bench([entry(3)], [""], grammar).mean["unparsed"] == 1


def test_a_table_shows_what_there_is_and_a_dash_for_what_is_not():
    evaluation = summarize({"acc@0.5": [1, 0, 1]}, ["a|b", "a|b", "c"])
    rows = evaluation_rows(evaluation)
    assert list(rows) == ["a|b", "c", "mean", "per entry"]
    lines = markdown_table(rows, ["acc@0.5", "image_accuracy"]).splitlines()
    assert lines[2] == "| a\\|b | 2 | 50.00 | - |"
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert terminal_table(rows, marked={("mean", "acc@0.5")}).row_count == 4
