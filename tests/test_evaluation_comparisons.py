from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mirg_rewards.evaluation import compare, summarize
from mirg_rewards.evaluation.comparisons import adjusted_p_values


def hits(seed, rate, count=200):
    return (np.random.default_rng(seed).random(count) < rate).astype(float)


def one(found, row="all", metric="acc@0.5"):
    (difference,) = [each for each in found if (each.row, each.metric) == (row, metric)]
    return difference


@pytest.mark.parametrize(("ours", "theirs"), [(0.6, 0.5), (0.8, 0.5), (0.3, 0.31), (0.1, 0.05)])
def test_the_p_value_of_a_rate_is_mcnemars_exact_one(ours, theirs):
    ours, theirs = hits(0, ours), hits(1, theirs)
    found = one(compare(*(summarize({"acc@0.5": values}) for values in (ours, theirs)), resamples=20_000))
    only_ours, only_theirs = int(((ours - theirs) > 0).sum()), int(((ours - theirs) < 0).sum())
    exact = stats.binomtest(only_ours, only_ours + only_theirs).pvalue
    assert found.p == pytest.approx(exact, abs=0.015)
    assert found.p_adjusted == found.p, "one comparison needs no adjustment"


def test_the_other_way_round_everything_changes_its_sign():
    ours, theirs = summarize({"acc@0.5": hits(0, 0.7)}), summarize({"acc@0.5": hits(1, 0.5)})
    there, back = one(compare(ours, theirs)), one(compare(theirs, ours))
    assert there.difference == -back.difference
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]), abs=0.01)
    assert (there.verdict, back.verdict) == ("higher", "lower")
    assert there.p == pytest.approx(back.p)


def test_a_model_is_not_told_apart_from_itself():
    values = {"acc@0.5": hits(0, 0.5), "mean_iou": np.random.default_rng(0).random(200)}
    same = summarize(values, ["a", "b"] * 100)
    for found in compare(same, same):
        assert (found.difference, found.p, found.p_adjusted, found.verdict) == (0, 1, 1, "not told apart")
        assert found.interval[0] < 0 < found.interval[1], "that no entry differs is no proof that none would"


@pytest.mark.parametrize("better", range(1, 12))
def test_the_interval_holds_none_where_few_answers_differ(better):
    """As the exact test has it, which says no to five differences of five and yes to six."""
    ours, theirs = np.zeros(100), np.zeros(100)
    ours[:better] = 1
    found = one(compare(*(summarize({"acc@0.5": values}) for values in (ours, theirs))))
    assert (found.interval[0] > 0) == (found.p < 0.05) == (better > 5)


def test_every_row_of_a_table_is_compared():
    groups = ["a"] * 150 + ["b"] * 50
    ours, theirs = (summarize({"acc@0.5": hits(seed, rate)}, groups) for seed, rate in ((0, 0.7), (1, 0.5)))
    found = compare(ours, theirs)
    assert [each.row for each in found] == ["a", "b", "mean", "per entry"]
    assert one(found, "mean").difference == pytest.approx((one(found, "a").difference + one(found, "b").difference) / 2)
    assert one(found, "per entry").difference == pytest.approx(
        ours.micro_average["acc@0.5"] - theirs.micro_average["acc@0.5"]
    )
    assert one(found, "a").n == 150


def test_clusters_that_agree_within_tell_less():
    ours, theirs = hits(0, 0.7, 40).repeat(10), hits(1, 0.5, 40).repeat(10)
    clusters = np.arange(40).repeat(10).tolist()
    apart = one(compare(*(summarize({"acc@0.5": values}) for values in (ours, theirs))))
    together = one(compare(*(summarize({"acc@0.5": values}, clusters=clusters) for values in (ours, theirs))))
    assert together.difference == apart.difference
    assert together.p > 0.01 > apart.p
    assert together.interval[1] - together.interval[0] > 2 * (apart.interval[1] - apart.interval[0])


def test_equally_good_models_are_seldom_told_apart():
    """Of all comparisons made at once not one in 95 % of cases, which is what the adjustment is for."""
    groups = np.repeat(list("abcdefghij"), 30).tolist()
    false = 0
    for seed in range(100):
        ours, theirs = (
            summarize({"acc@0.5": hits(place, 0.5, 300)}, groups, resamples=20) for place in (2 * seed, 2 * seed + 1)
        )
        false += any(each.verdict != "not told apart" for each in compare(ours, theirs, resamples=400))
    assert false <= 11


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6))
def test_adjusting_keeps_the_order_and_raises_every_p(differences):
    nulls = np.random.default_rng(0).normal(size=(500, len(differences)))
    adjusted = adjusted_p_values(differences, nulls)
    size = np.abs(differences) / nulls.std(axis=0)
    for larger, smaller in pairwise(np.argsort(-size, kind="stable")):
        assert adjusted[larger] <= adjusted[smaller]
    for place, p in enumerate(adjusted):
        own = (1 + np.count_nonzero(np.abs(nulls[:, place]) >= abs(differences[place]))) / 501
        assert own <= p + 1e-9 <= 1 + 1e-9


@pytest.mark.parametrize(
    ("theirs", "metrics", "message"),
    [
        (summarize({"acc@0.5": [1, 0]}, ["a", "b"]), None, "got 3 and 2 entries"),
        (summarize({"acc@0.5": [1, 0, 1]}, ["b", "a", "a"]), None, "of other groups"),
        (
            summarize({"acc@0.7": [1, 0, 1]}, ["a", "a", "b"]),
            ["acc@0.5"],
            "the other evaluation has no metric 'acc@0.5'",
        ),
        (summarize({"acc@0.7": [1, 0, 1]}, ["a", "a", "b"]), None, "no metric in common"),
    ],
)
def test_what_cannot_be_compared_is_named(theirs, metrics, message):
    ours = summarize({"acc@0.5": [1, 0, 1]}, ["a", "a", "b"])
    with pytest.raises(ValueError, match=message):
        compare(ours, theirs, metrics)
