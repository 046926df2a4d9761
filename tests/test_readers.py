import pytest
import readers
from format_samples import SAMPLES, Said, has_exact_boxes, is_exact


def as_expected(sample):
    """The expectation as a reading of the sample."""
    unsaid = 1 if sample["n_images"] == 1 else None
    return [
        Said(
            unsaid if wanted["image"] is None else wanted["image"],
            wanted["bbox"] and tuple(wanted["bbox"]),
            wanted["point"] and tuple(wanted["point"]),
            wanted["label"] or "",
        )
        for wanted in sample["expected"]
    ]


def changed(sample):
    """Readings that are wrong in one thing each, and whether their boxes are right all the same."""
    first, *rest = as_expected(sample)
    yield rest, first.box is None
    yield [first, first, *rest], first.box is None
    yield [first._replace(image=9), *rest], True
    if first.box:
        yield [first._replace(box=(first.box[0] + 0.001, *first.box[1:])), *rest], False
        yield [first._replace(box=None), *rest], False
    if first.point:
        yield [first._replace(point=(first.point[0], first.point[1] - 1)), *rest], True
    if sample["expected"][0]["label"] is not None:
        yield [first._replace(label="something else"), *rest], True


CLAIMING = [sample for sample in SAMPLES if sample["expected"]]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["id"])
def test_the_expectation_itself_is_exact(sample):
    said = as_expected(sample)
    assert is_exact(said, sample)
    assert is_exact(said[::-1], sample)
    assert has_exact_boxes(said, sample)


@pytest.mark.parametrize("sample", CLAIMING, ids=lambda sample: sample["id"])
def test_a_reading_that_is_wrong_in_one_thing_is_not_exact(sample):
    for said, boxes_are_right in changed(sample):
        assert not is_exact(said, sample)
        assert has_exact_boxes(said, sample) == boxes_are_right


def test_labels_are_compared_without_case_and_only_where_one_is_expected():
    labelled = next(sample for sample in CLAIMING if sample["expected"][0]["label"])
    first, *rest = as_expected(labelled)
    assert is_exact([first._replace(label=f" {first.label.upper()} "), *rest], labelled)
    free = next(sample for sample in CLAIMING if sample["expected"][0]["label"] is None)
    assert is_exact([claim._replace(label="whatever") for claim in as_expected(free)], free)


def test_a_reader_that_raises_is_not_exact_and_counted():
    def reader(sample):
        if sample is SAMPLES[0]:
            raise ValueError
        return as_expected(sample)

    assert readers.score(reader, SAMPLES[:3], is_exact) == readers.Score(exact=2, tried=3, raised=1)
    assert str(readers.Score(2, 3, 1)) == "2/3 (1 raised)"


def test_without_the_other_parsers_it_says_what_to_install(monkeypatch, capsys, tmp_path):
    def absent():
        raise ModuleNotFoundError(name="elsewhere")

    monkeypatch.setattr(readers, "PEERS", {"other": readers.Peer("other-parser", absent, "")})
    monkeypatch.setattr(readers, "PAGE", tmp_path / "readers.md")
    assert readers.main() == 1
    said = capsys.readouterr().err
    assert "other-parser cannot be used, since elsewhere is not installed" in said
    assert "pip install" in said
    assert not readers.PAGE.exists()
