import interval_coverage
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mirg_rewards.evaluation import compare, summarize
from mirg_rewards.evaluation.intervals import holm

# Three standard deviations of 400 simulations around the lowest and the highest coverage of docs/evaluation.md.
FLOOR, CEILING = 0.89, 0.99


def hits(seed, rate, count=200):
    return (np.random.default_rng(seed).random(count) < rate).astype(float)


def one(found, row="all", metric="acc@0.5"):
    (difference,) = [each for each in found if (each.row, each.metric) == (row, metric)]
    return difference


@pytest.mark.parametrize(("ours", "theirs"), [(0.6, 0.5), (0.8, 0.5), (0.3, 0.31), (0.1, 0.05)])
def test_the_p_value_of_a_rate_is_near_mcnemars_exact_one(ours, theirs):
    ours, theirs = hits(0, ours), hits(1, theirs)
    found = one(compare(*(summarize({"acc@0.5": values}) for values in (ours, theirs))))
    only_ours, only_theirs = int(((ours - theirs) > 0).sum()), int(((ours - theirs) < 0).sum())
    exact = stats.binomtest(only_ours, only_ours + only_theirs).pvalue
    # The exact test is conservative.
    assert 0.7 * exact - 0.001 < found.p < exact + 0.015
    assert found.p_adjusted == found.p, "one comparison needs no adjustment"


def test_the_p_value_of_many_differences_is_that_of_the_paired_t_test():
    generator = np.random.default_rng(0)
    ours, theirs = generator.random(2000), generator.random(2000) + 0.01
    found = one(compare(*(summarize({"mean_iou": values}) for values in (ours, theirs.clip(0, 1)))), metric="mean_iou")
    expected = stats.ttest_rel(ours, theirs.clip(0, 1))
    ends = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue, abs=0.01)
    assert found.interval == pytest.approx((ends.low, ends.high), abs=0.001)


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 5), st.sampled_from("ab")), min_size=1, max_size=40),
    st.floats(0, 1),
)
def test_interval_p_value_and_verdict_never_contradict_each_other(rows, shift):
    gaps = [min(max(gap + shift, -1), 1) for gap, _, _ in rows]
    groups, clusters = [group for *_, group in rows], [cluster for _, cluster, _ in rows]
    ours, theirs = (
        summarize({"iou": [max(sign * gap, 0) for gap in gaps]}, groups, clusters=clusters) for sign in (1, -1)
    )
    for found in compare(ours, theirs):
        low, high = found.interval
        assert -1 <= low <= found.difference + 1e-9
        assert found.difference - 1e-9 <= high <= 1
        assert (low > 0 or high < 0) == (found.p < 0.05)
        assert found.p <= found.p_adjusted
        assert (found.verdict != "not told apart") == (found.p_adjusted < 0.05)
        if found.verdict != "not told apart":
            assert (low > 0) == (found.verdict == "higher")


def test_eleven_clusters_of_completions_give_one_answer():
    """As the report that this replaces: a difference of +0.152 with an interval from -0.119 to +0.232 and p 0.0076."""
    generator = np.random.default_rng(0)
    clusters = np.arange(11).repeat(16).tolist()
    ours, theirs = (generator.random(176) < rate for rate in (0.65, 0.5))
    found = one(compare(*(summarize({"acc@0.5": values}, clusters=clusters) for values in (ours, theirs))))
    assert found.p < 0.05
    assert 0 < found.interval[0] < found.difference < found.interval[1]
    assert found.interval[0] - found.difference == pytest.approx(found.difference - found.interval[1], abs=0.01)


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
    """As the exact test says no to five differences of five, and yes to six."""
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
    """Of all comparisons made at once none in 95 % of cases: that is what the adjustment is for."""
    groups = np.repeat(list("abcdefghij"), 30).tolist()
    false = 0
    for seed in range(100):
        ours, theirs = (summarize({"acc@0.5": hits(place, 0.5, 300)}, groups) for place in (2 * seed, 2 * seed + 1))
        false += any(each.verdict != "not told apart" for each in compare(ours, theirs))
    assert false <= stats.binom.ppf(0.999, 100, 0.05)


@pytest.mark.parametrize(
    ("gain", "loss", "clusters", "size", "alike"),
    [(0.25, 0.25, 10, 6, 0.3), (0.1, 0.1, 30, 6, 0.3), (0.25, 0.25, 300, 1, 0.0), (0.2, 0.05, 30, 6, 0.0)],
)
def test_intervals_contain_the_true_difference(gain, loss, clusters, size, alike):
    # For equally good models, the others are false alarms.
    assert interval_coverage.difference_coverage(gain, loss, clusters, size, alike, 200) >= 0.904


@pytest.mark.slow
@pytest.mark.parametrize("clusters", interval_coverage.CLUSTERS)
@pytest.mark.parametrize(("gain", "loss"), interval_coverage.DISCORDANT[::2])
@pytest.mark.parametrize(("size", "alike"), interval_coverage.SHAPES)
def test_intervals_contain_the_true_difference_of_few_and_many_clusters(gain, loss, clusters, size, alike):
    found = interval_coverage.difference_coverage(gain, loss, clusters, size, alike, 400)
    assert found >= FLOOR
    if clusters * (gain + loss) >= 30:
        assert found <= CEILING


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_adjusting_keeps_the_order_and_raises_every_p(p_values):
    adjusted = holm(p_values)
    for p, larger in zip(p_values, adjusted, strict=True):
        assert p <= larger <= min(1, p * len(p_values)) + 1e-12
    order = np.argsort(p_values)
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


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
