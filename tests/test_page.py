import base64
import html
import io
import json
import os
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirg_rewards import GRAMMARS, Box, Claim, Target, parse, presets, render
from mirg_rewards.cli import main
from mirg_rewards.report.page import MAX_TEXT, write_page
from mirg_rewards.report.rollouts import ColumnNames, Rollout, read_rollouts
from mirg_rewards.report.scored_rollouts import score_rollouts
from mirg_rewards.report.segments import segments
from mirg_rewards.report.thumbnails import Gallery, thumbnail

pytest.importorskip("jinja2", reason="the extra mirg-rewards[report] is not installed")
Image = pytest.importorskip("PIL.Image", reason="the extra mirg-rewards[report] is not installed")

SIZES = ((640, 480), (800, 600))
TARGET = Target((Claim(2, Box(0.0, 0.0, 0.5, 1.0), label="dog"),), SIZES)
RIGHT = render(TARGET.claims, GRAMMARS["mirg"], SIZES, think="so")
ROW = {"prompt": "Find the dog.", "completion": RIGHT, "target": TARGET.to_json(), "step": 3, "task": "one"}


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rollouts(path, **names):
    return [rollout for some, _ in read_rollouts([path], ColumnNames(**names)) for rollout in some]


def blocks(page):
    """The data of a page by the id of its block."""
    found = re.findall(r'<script type="application/json" id="(\w+)">(.*?)</script>', page.read_text(), re.DOTALL)
    return {name: json.loads(data) for name, data in found}


def page_of(rollout_or_text, folder, **options):
    rollout = rollout_or_text if isinstance(rollout_or_text, Rollout) else Rollout("a: line 1", "?", rollout_or_text)
    write_page(score_rollouts([rollout], presets.mirg_rl()), folder / "page.html", **options)
    return folder / "page.html"


def png(colour="red", size=(8, 8), **options):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "png", **options)
    return file.getvalue()


def test_a_page_begins_with_the_diagnosis_of_its_first_rollouts(tmp_path):
    target = {"claims": [{"image": 1, "box": [0.1, 0.2, 0.5, 0.6]}], "sizes": [[1920, 1080]]}
    row = {"completion": '[{"bbox_2d": [100, 200, 500, 600]}]', "target": target}
    source, page = lines(tmp_path / "in.jsonl", [row] * 8), tmp_path / "page.html"
    assert main(["report", str(source), "--output", str(page), "--grammar", "qwen25_json"]) == 0
    head = page.read_text().partition("<main>")[0]
    assert '<details id="diagnosis" open>' in head
    assert "Diagnosis of the first 8 rollouts: 1 hint<" in head
    assert "Hint: Read as 0 to 1000, the answers would have a mean IoU of 1.00, not 0.31" in head
    assert main(["report", str(source), "--output", str(page), "--grammar", "qwen3_json"]) == 0
    assert '<details id="diagnosis">' in page.read_text()
    assert "no other reading gives more" in page.read_text()


def test_a_page_without_targets_has_no_diagnosis(tmp_path):
    assert 'id="diagnosis"' not in page_of("In Image-2.", tmp_path).read_text()


# What trainers leave behind


def test_a_scored_file_shows_its_own_rewards(tmp_path, capsys):
    source, scored, page = lines(tmp_path / "in.jsonl", [ROW]), tmp_path / "scored.jsonl", tmp_path / "page.html"
    assert main(["score", str(source), "--output", str(scored), "--prefix", "my_"]) == 0
    (rollout,) = rollouts(scored, prefix="my_")
    assert rollout.reward == 1.0
    assert rollout.terms == {"format": 1.0, "image": 1.0, "object": 1.0}
    assert (rollout.step, rollout.task, rollout.prompt, rollout.defects) == (3, "one", "Find the dog.", frozenset())
    capsys.readouterr()
    assert main(["report", str(scored), "--prefix", "my_", "--output", str(page)]) == 0
    said = capsys.readouterr()
    assert "1 rollout of 1 prompt," in said.out
    assert not said.err
    assert blocks(page)["index"]["rows"] == [[0, 3, 0, 1.0, [1.0, 1.0, 1.0], 0, None]]


def test_rows_without_a_reward_are_judged_as_score_judges_them(tmp_path):
    (one,) = score_rollouts(rollouts(lines(tmp_path / "in.jsonl", [ROW])), presets.mirg_rl())
    assert (one.rollout.reward, one.rollout.terms) == (1.0, {"format": 1.0, "image": 1.0, "object": 1.0})
    assert one.pairs == {0: (0, 1.0)}


def test_trl_completions(tmp_path):
    arrow = pytest.importorskip("pyarrow", reason="the extra mirg-rewards[parquet] is not installed")
    pytest.importorskip("pyarrow.parquet")
    prompt = [{"role": "user", "content": [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "Find it."}]}]
    table = {
        "step": [10, 10, 10],
        "prompt": [prompt] * 3,
        "completion": [[{"role": "assistant", "content": text}] for text in (RIGHT, "?", "!")],
        "format": [1.0, 0.0, float("nan")],
        "mirg": [0.5, float("nan"), None],
        "mirg_claims": ["[]", "[]", "[]"],
        "advantage": [0.7, -0.7, 0.0],
    }
    arrow.parquet.write_table(arrow.table(table), tmp_path / "completions_00010.parquet")
    found = rollouts(tmp_path, weights=(0.5, 2.0))
    assert [rollout.reward for rollout in found] == [1.5, 0.0, None]
    assert found[0].terms == {"format": 1.0, "mirg": 0.5}
    assert (found[0].prompt, found[0].text, found[0].advantage, found[0].step) == ("Find it.", RIGHT, 0.7, 10)
    assert len({rollout.group for rollout in found}) == 1
    one = score_rollouts(found, presets.mirg_rl())[0]
    assert one.rollout.reward == 1.5, "what TRL logged is not judged again"
    assert len(one.sizes) == 2, "the prompt says how many images there are"
    assert not one.parsed.defects
    with pytest.raises(ValueError, match=r"completions_00010.parquet: row 0: --weights needs one for each of 2"):
        rollouts(tmp_path, weights=(1.0,))


def test_the_parts_of_a_prompt_do_not_run_together(tmp_path):
    parts = [
        {"type": "text", "text": "Image-1:"},
        {"type": "image"},
        {"type": "text", "text": "Image-2:\n"},
        {"type": "image"},
    ]
    prompt = [{"role": "user", "content": [*parts, {"type": "text", "text": "Find it."}]}]
    (rollout,) = rollouts(lines(tmp_path / "in.jsonl", [{**ROW, "prompt": prompt}]))
    assert rollout.prompt == "Image-1: Image-2: Find it."


def test_the_only_reward_of_trls_completions_is_not_a_term_of_its_own(tmp_path):
    row = {"step": 1, "prompt": "?", "completion": RIGHT, "mirg": 0.5, "advantage": 0.0}
    (plain,) = rollouts(lines(tmp_path / "plain.jsonl", [row]))
    assert (plain.reward, plain.terms) == (0.5, {})
    logged = {"mirg_target": TARGET.to_json(), "mirg_terms": '{"format": 1.0, "object": null}', "mirg_group": "a"}
    row = {name: row[name] for name in ("step", "prompt", "completion", "mirg")} | logged | {"advantage": 0.0}
    (ours,) = rollouts(lines(tmp_path / "ours.jsonl", [row]))
    assert (ours.reward, ours.terms, ours.target) == (0.5, {"format": 1.0, "object": None}, TARGET)
    data = score_rollouts([ours, plain], presets.mirg_rl())
    assert [one.rollout.reward for one in data] == [0.5, 0.5], "what TRL logged is not judged again"
    assert rollouts(tmp_path / "ours.jsonl", weights=(2.0,))[0].reward == 1.0


def test_a_folder_of_trls_output_stands_for_its_completions(tmp_path):
    (tmp_path / "completions").mkdir()
    lines(tmp_path / "completions/1.jsonl", [ROW])
    assert len(rollouts(tmp_path)) == 1


@pytest.mark.parametrize("uids", [("s1_0_0", "s1_1_0", "s2_0_0"), None])
def test_verl_dumps(tmp_path, uids):
    (tmp_path / "9.jsonl").touch()
    rows = [
        {"input": prompt, "output": RIGHT, "gts": TARGET.to_json(), "score": 0.5, "step": 10, "acc": True, "iou": 0.25}
        for prompt in ("one", "one", "two")
    ]
    rows = [{**row, "uid": uid} for row, uid in zip(rows, uids or "aab", strict=True)] if uids else rows
    lines(tmp_path / "10.jsonl", rows)
    found = rollouts(tmp_path)
    assert [(rollout.prompt, rollout.text, rollout.reward, rollout.step) for rollout in found] == [
        (prompt, RIGHT, 0.5, 10) for prompt in ("one", "one", "two")
    ]
    assert found[0].terms == {"acc": 1.0, "iou": 0.25}
    assert found[0].target == TARGET
    assert found[0].group == found[1].group != found[2].group


def test_files_of_a_folder_come_in_the_order_of_their_steps(tmp_path):
    for step in (2, 10, 9):
        lines(tmp_path / f"{step}.jsonl", [{**ROW, "step": step}])
    assert [rollout.step for rollout in rollouts(tmp_path)] == [2, 9, 10]


def test_answers_to_mig_bench(tmp_path):
    entry = {
        "task": "diff",
        "images": ["a.png", "b.png"],
        "question": "What differs?",
        "answer": [0.0, 0.0, 0.5, 1.0],
        "additional_info": "",
        "need_format": True,
    }
    annotations = tmp_path / "MIG_data.json"
    annotations.write_text(json.dumps([entry, entry]))
    (tmp_path / "b.png").write_bytes(png())
    responses = lines(tmp_path / "out.jsonl", [{"index": 1, "response": RIGHT}])
    page = tmp_path / "page.html"
    assert main(["report", str(responses), "--mig-bench", str(annotations), "-o", str(page)]) == 0
    data = blocks(page)
    assert data["g0"]["prompt"] == "What differs?"
    assert data["g0"]["images"][0] is None
    assert data[f"i{data['g0']['images'][1]}"].startswith("data:image/png")
    assert data["index"]["tasks"] == ["diff"]
    assert data["index"]["rows"][0][3] == 1.0
    assert data["r0"]["place"] == "MIG_data.json: entry 1"


def test_odd_values_of_columns_are_shown_as_they_are_or_left_out(tmp_path):
    row = {"prompt": [7], "completion": "?", "reward": 10**400, "format": "no", "defects": None, "step": "x"}
    (rollout,) = rollouts(lines(tmp_path / "in.jsonl", [row]))
    assert (rollout.prompt, rollout.reward, rollout.terms, rollout.step) == ("[7]", None, {}, None)


def test_no_row_can_spoil_the_page(tmp_path):
    rows = [
        {"prompt": "?", "completion": "?", "iou": 1e308, "advantage": 0.0, "step": [1]},
        {"prompt": "\ud800", "completion": "\ud800", "iou": float("inf"), "advantage": float("nan"), "step": 1},
    ]
    source = lines(tmp_path / "in.jsonl", rows)
    page = tmp_path / "page.html"
    judged = score_rollouts(rollouts(source, weights=(10.0,)), presets.mirg_rl())
    write_page(judged, page, title=f"Rollouts of {os.fsdecode(b'a' + bytes([255]))}")
    assert "Infinity" not in "".join(re.findall(r'type="application/json"[^<]*', page.read_text()))
    assert [row[3] for row in blocks(page)["index"]["rows"]] == [None, None]


def test_completions_of_one_prompt_are_a_group_only_within_a_step(tmp_path):
    rows = [ROW, {**ROW, "completion": "?"}, {**ROW, "step": 4}, {**ROW, "target": None}]
    found = [rollout.group for rollout in rollouts(lines(tmp_path / "in.jsonl", rows))]
    assert found[0] == found[1]
    assert len(set(found)) == 3
    images = [{**ROW, "images": [name, "b.png"]} for name in ("a.png", "a.png", "c.png")]
    assert len({one.group for one in rollouts(lines(tmp_path / "in.jsonl", images))}) == 2
    named = [{**ROW, "prompt": str(number), "pool": number // 2} for number in range(4)]
    assert len({one.group for one in rollouts(lines(tmp_path / "in.jsonl", named), group="pool")}) == 2


# What callers get wrong


@pytest.mark.parametrize(
    ("row", "options", "words"),
    [
        ({**ROW, "target": "{}"}, [], r"in.jsonl: line 2: 'target': .*--target-column"),
        ({**ROW, "completion": 7}, [], r"in.jsonl: line 2: 'completion' must be text .*--completion-column"),
        ({"prompt": "?"}, [], r"in.jsonl: line 2: there is no 'completion'"),
        ({**ROW, "images": [7]}, [], r"in.jsonl: line 2: an image must be a path"),
        (ROW, ["--mig-bench", "missing.json"], r"missing.json"),
        (ROW, ["--images", "thumbnails"], r"unknown 'thumbnails'; choose from embed, link, none"),
        (ROW, ["--weights", "a"], r"must be numbers as in"),
        (ROW, ["--limit", "0"], r"must be a whole number from 1"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_the_old_page(tmp_path, capsys, row, options, words):
    source, page = lines(tmp_path / "in.jsonl", [ROW, row]), tmp_path / "page.html"
    page.write_text("old")
    assert main(["report", str(source), "--output", str(page), *options]) == 2
    assert re.search(words, capsys.readouterr().err)
    assert page.read_text() == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.jsonl", "page.html"]


def test_rows_that_a_grammar_of_pixels_cannot_read_are_left_out_and_counted(tmp_path, capsys):
    unsized, page = {**ROW, "target": None}, tmp_path / "page.html"
    options = ["--grammar", "qwen25_json", "--output", str(page)]
    assert main(["report", str(lines(tmp_path / "in.jsonl", [unsized, ROW, unsized])), *options]) == 0
    assert "2 rollouts are left out; " in (said := capsys.readouterr().err)
    assert re.search(r"in.jsonl: line 1: sizes\[0\] must be known", said)
    assert len(blocks(page)["index"]["rows"]) == 1
    assert main(["report", str(lines(tmp_path / "none.jsonl", [unsized])), *options]) == 2
    assert re.search(r"none.jsonl: line 1: sizes\[0\] must be known", capsys.readouterr().err)


def test_nothing_to_show_is_an_error(tmp_path, capsys):
    assert main(["report", str(lines(tmp_path / "in.jsonl", [])), "-o", str(tmp_path / "page.html")]) == 2
    assert "no rollouts" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["report", str(tmp_path / "empty"), "-o", str(tmp_path / "page.html")]) == 2
    assert "no file that ends with .jsonl or .parquet" in capsys.readouterr().err


def test_another_grammar_than_that_of_the_file_is_noticed(tmp_path, capsys):
    source, scored = lines(tmp_path / "in.jsonl", [ROW]), tmp_path / "scored.jsonl"
    main(["score", str(source), "--output", str(scored)])
    assert main(["report", str(scored), "--output", str(tmp_path / "page.html"), "--grammar", "seed_vl"]) == 0
    assert "1 rollout has other defects than the file says" in capsys.readouterr().err


@pytest.mark.parametrize(("package", "words"), [("jinja2", "the page needs Jinja2"), ("PIL", "images need Pillow")])
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, capsys, package, words):
    (tmp_path / "a.png").write_bytes(png())
    source = lines(tmp_path / "in.jsonl", [{**ROW, "images": ["a.png", "a.png"]}])
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["report", str(source), "--output", str(tmp_path / "page.html")]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "mirg-rewards[report]" in said


# What is on the page


@given(st.text(alphabet=st.sampled_from('<>/answeriknth[]{}(),:0123\n"é𝄞 '), max_size=80))
def test_pieces_of_a_text_make_the_text(text):
    for grammar in ("mirg", "prose", "qwen_vl"):
        pieces = segments(text, parse(text, GRAMMARS[grammar], [None, None]))
        assert "".join(piece.text for piece in pieces) == text
        assert all(piece.text for piece in pieces)


def test_claims_mark_the_characters_that_they_were_read_from():
    said = (
        '<think>[1,2,3,4]</think><answer>[{"image": 1, "bbox_2d": [1, 2, 3, 4]}, {"image": 2, "bbox_2d": [5, 6, 7, 8]}]'
    )
    parsed = parse(said, GRAMMARS["mirg"], SIZES)
    marked = {piece.claims: piece.text for piece in segments(said, parsed) if piece.claims}
    assert marked == {(0,): "[1, 2, 3, 4]", (1,): "[5, 6, 7, 8]"}
    assert [piece.text for piece in segments(said, parsed) if piece.part == "think"] == ["[1,2,3,4]"]


HOSTILE = "</script><script>alert(1)</script><!--<script>\u2028\u2029&amp;'\"`${1}\x00\ud800𝄞\x1b[31m"


def test_any_text_reaches_the_page_as_it_is(tmp_path):
    target = Target((Claim(1, Box(0.0, 0.0, 1.0, 1.0), label=HOSTILE),), (None,))
    rollout = Rollout(HOSTILE, HOSTILE, HOSTILE, target, terms={HOSTILE: 1.0}, reward=1.0, task=HOSTILE, group=HOSTILE)
    page = page_of(rollout, tmp_path, title=HOSTILE.replace("\ud800", ""))
    data = blocks(page)
    assert "".join(piece[0] for piece in data["r0"]["pieces"]) == HOSTILE
    assert data["g0"]["prompt"] == data["g0"]["true"][0]["label"] == data["index"]["terms"][0] == HOSTILE
    written = page.read_text()
    assert written.count("<script") == written.count("</script") == len(data) + 1
    assert "<!--" not in written


def test_the_policy_allows_one_script_and_one_style(tmp_path):
    written = html.unescape(page_of(RIGHT, tmp_path).read_text())
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', written)[1]
    assert policy.startswith("default-src 'none'; ")
    assert not re.search(r"unsafe|\*|https?:", policy)
    assert "img-src data:;" in policy


def test_the_middle_of_a_very_long_text_is_left_out(tmp_path):
    text = "a" * 5_000_000 + RIGHT
    data = blocks(page_of(text, tmp_path))
    shown = "".join(piece[0] for piece in data["r0"]["pieces"])
    assert shown.startswith("aaa")
    assert shown.endswith(RIGHT)
    assert f"… {len(text) - MAX_TEXT} characters …" in shown
    assert len(shown) < MAX_TEXT + 100


def test_places_far_outside_an_image_are_brought_near(tmp_path):
    said = '<think></think><answer>[{"image": 1, "bbox_2d": [-1e15, 0, 1e15, 500]}]</answer>'
    sides = [side for claim in blocks(page_of(said, tmp_path))["r0"]["claims"] for side in claim["box"]]
    assert all(abs(side) <= 10_000 for side in sides)


def test_an_image_is_embedded_once_scaled_down_and_without_metadata(tmp_path):
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x010E] = "secret"
    Image.effect_noise((1600, 800), 90).save(path, exif=exif)
    gallery = Gallery(tmp_path / "page.html")
    number, url = gallery.add(path)
    assert gallery.add(path) == (number, None)
    file = base64.b64decode(url.partition(",")[2])
    assert Image.open(io.BytesIO(file)).size == (480, 240)
    assert b"secret" not in file


def test_images_that_are_not_there_are_counted_and_named(tmp_path, capsys):
    (tmp_path / "b.png").write_bytes(b"no image")
    source = lines(tmp_path / "in.jsonl", [{**ROW, "images": ["a.png", "b.png"]}])
    assert main(["report", str(source), "--output", str(tmp_path / "page.html")]) == 0
    assert re.search(r"2 images could not be shown: .*a\.png.*--image-folder", capsys.readouterr().err)
    assert blocks(tmp_path / "page.html")["g0"]["images"] == [None, None]


def test_images_of_parquet_rows_are_read_from_their_bytes(tmp_path):
    rollout = Rollout("a", "?", RIGHT, TARGET, images=(png("red"), png("blue")))
    assert blocks(page_of(rollout, tmp_path))["i0"] == thumbnail(png("red"))
    arrow = pytest.importorskip("pyarrow", reason="the extra mirg-rewards[parquet] is not installed")
    pytest.importorskip("pyarrow.parquet")
    images = [{"bytes": png("red"), "path": None}, {"bytes": None, "path": "b.png"}]
    columns = {name: [value] for name, value in {**ROW, "images": images}.items()}
    arrow.parquet.write_table(arrow.table(columns), tmp_path / "rows.parquet")
    assert rollouts(tmp_path / "rows.parquet")[0].images == (png("red"), tmp_path / "b.png")


def test_sizes_that_a_grammar_of_pixels_needs_are_read_from_the_images(tmp_path):
    said = '```json\n[{"bbox_2d": [0, 0, 56, 56], "label": "dog", "image": 1}]\n```'
    images = (png(size=(112, 56)), png())
    (one,) = score_rollouts([Rollout("a", "?", said, images=images)], presets.mirg_rl(grammar=GRAMMARS["qwen25_json"]))
    assert one.parsed.claims[0].box == Box(0.0, 0.0, 0.5, 1.0)


def test_rollouts_are_written_as_they_are_read(tmp_path):
    def endless():
        for number in range(5000):
            size = (tmp_path / part.name).stat().st_size if (part := next(tmp_path.glob(".page*"), None)) else 0
            sizes.append(size)
            yield from score_rollouts([Rollout(f"line {number}", "?", "x" * 2000, group=number)], presets.mirg_rl())
            if number == 200:
                return

    sizes = []
    write_page(endless(), tmp_path / "page.html")
    assert sizes[150] > 100 * 2000
