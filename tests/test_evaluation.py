from dataclasses import replace

import interval_coverage
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mirg_rewards import GRAMMARS, PIXELS, Box, Claim, Target, render
from mirg_rewards.data.mig_bench import Entry
from mirg_rewards.evaluation import evaluate, evaluate_mig_bench, evaluate_mig_bench_officially, summarize
from mirg_rewards.evaluation.intervals import clustered_means
from mirg_rewards.report.tables import evaluation_rows, markdown_table

GRAMMAR = GRAMMARS["mirg"]
# Three standard deviations of 400 simulations around the lowest and the highest coverage of docs/evaluation.md.
FLOOR, CEILING = 0.89, 0.99
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


def test_completions_with_one_target_are_one_cluster():
    other = Target((Claim(2, LEFT),), sizes=(None, None))
    responses = [said(Claim(2, WHOLE))] * 12
    found = evaluate(responses, [TARGET] * 6 + [other] * 6, GRAMMAR)
    assert len(set(found.clusters.tolist())) == 2
    apart = evaluate(responses, [TARGET] * 6 + [other] * 6, GRAMMAR, clusters=range(12))
    assert len(set(apart.clusters.tolist())) == 12
    assert np.ptp(found.mean.intervals["acc@0.7"]) > np.ptp(apart.mean.intervals["acc@0.7"])


def test_the_mean_weighs_groups_alike_and_the_other_entries():
    evaluation = evaluate(
        [said(Claim(2, WHOLE))] * 3 + [""], [TARGET] * 4, GRAMMAR, groups=["many", "many", "many", "one"]
    )
    assert evaluation.mean["acc@0.5"] == 0.5
    assert evaluation.micro_average["acc@0.5"] == 0.75
    assert {group: summary.n for group, summary in evaluation.by_group.items()} == {"many": 3, "one": 1}


def test_the_interval_of_many_entries_is_the_normal_one():
    generator = np.random.default_rng(1)
    iou, rate = generator.random(2000), (generator.random(2000) < 0.3).astype(float)
    ends = summarize({"iou": iou, "rate": rate}).mean.intervals
    for name, values in (("iou", iou), ("rate", rate)):
        half = 1.96 * values.std() / 2000**0.5
        assert ends[name] == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05 * half)


@pytest.mark.parametrize("right", [0, 1, 7, 50, 100])
def test_the_interval_of_a_rate_of_single_entries_is_the_exact_one(right):
    theirs = stats.binomtest(right, 100).proportion_ci(method="exact")
    ours = summarize({"rate": [1] * right + [0] * (100 - right)}).mean.intervals["rate"]
    # An estimated variance has 99 degrees of freedom, and a sum of squares over 100 divided by 99.
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-3)


def test_the_standard_error_is_the_clustered_one():
    """As statsmodels gives it for OLS on a constant with cov_type="cluster", without the floor of independent entries."""
    values, clusters = np.array([[1.0], [1.0], [1.0], [0.0], [0.0], [1.0]]), np.array([0, 0, 0, 1, 1, 2])
    (estimate,) = clustered_means(values, clusters, [np.arange(6)], [1], values.mean(axis=0))
    sums = np.array([3 * (1 - 4 / 6), 2 * (0 - 4 / 6), 1 - 4 / 6])
    assert estimate.variance == pytest.approx((sums**2).sum() / 36 * 3 / 2)
    assert estimate.dof == 2
    assert estimate.clusters == pytest.approx(1 / (0.5**2 + (1 / 3) ** 2 + (1 / 6) ** 2))


def test_a_group_of_one_cluster_varies_around_the_mean_of_all():
    found = summarize({"rate": [1.0, 0.0, 1.0]}, ["a", "b", "c"])
    assert [summary.intervals["rate"] for summary in found.by_group.values()] == [(0, 1)] * 3
    low, high = found.mean.intervals["rate"]
    assert 0 < low < 2 / 3 < high < 1


def test_a_cluster_in_two_groups_is_one_cluster():
    values, groups = [1, 0, 1, 1, 0, 0] * 20, ["a", "b"] * 60
    pairs = np.arange(60).repeat(2).tolist()
    together, apart = (summarize({"rate": values}, groups, clusters=key).mean for key in (pairs, None))
    width = [np.ptp(summary.intervals["rate"]) for summary in (together, apart)]
    assert width[0] > 1.05 * width[1], "the answers of a pair are alike"


def test_entries_of_one_cluster_are_right_or_wrong_together():
    right = np.random.default_rng(3).random(50) < 0.5
    apart = summarize({"rate": right}).mean.intervals["rate"]
    copied = summarize({"rate": right.repeat(8)}, clusters=np.arange(50).repeat(8).tolist()).mean.intervals["rate"]
    blind = summarize({"rate": right.repeat(8)}).mean.intervals["rate"]
    assert copied == pytest.approx(apart, abs=0.02), "eight copies of an entry tell no more than one"
    assert blind[1] - blind[0] < 0.5 * (copied[1] - copied[0])


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from("abc")), min_size=1, max_size=30))
def test_every_interval_holds_its_mean_and_stays_between_0_and_1(rows):
    evaluation = summarize({"iou": [value for value, _ in rows]}, [group for _, group in rows])
    for summary in (*evaluation.by_group.values(), evaluation.mean, evaluation.micro_average):
        low, high = summary.intervals["iou"]
        assert -1e-9 <= low <= summary["iou"] + 1e-9
        assert summary["iou"] - 1e-9 <= high <= 1 + 1e-9


@pytest.mark.parametrize(
    ("rate", "clusters", "size", "alike"),
    [(0.05, 10, 6, 0.3), (0.5, 30, 6, 0.3), (0.95, 30, 6, 0.0), (0.2, 300, 1, 0.0)],
)
def test_intervals_contain_the_true_rate(rate, clusters, size, alike):
    # Three standard deviations of 200 simulations below 95 %. Coverage is higher if few clusters have a right answer.
    assert interval_coverage.coverage(rate, clusters, size, alike, 200) >= 0.904


@pytest.mark.slow
@pytest.mark.parametrize("clusters", interval_coverage.CLUSTERS)
@pytest.mark.parametrize("rate", interval_coverage.RATES[::3])
@pytest.mark.parametrize(("size", "alike"), interval_coverage.SHAPES)
def test_intervals_contain_the_true_rate_of_few_and_many_clusters(rate, clusters, size, alike):
    found = interval_coverage.coverage(rate, clusters, size, alike, 400)
    assert found >= FLOOR
    if clusters * min(rate, 1 - rate) >= 30:
        assert found <= CEILING


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
