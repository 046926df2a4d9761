import io
import json
import os
import shutil

import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Target, presets, render
from mirg_rewards.report.page import write_page
from mirg_rewards.report.rollouts import Rollout
from mirg_rewards.report.scored_rollouts import score_rollouts

pytest.importorskip("jinja2", reason="the extra mirg-rewards[report] is not installed")
Image = pytest.importorskip("PIL.Image", reason="the extra mirg-rewards[report] is not installed")

pytestmark = pytest.mark.slow

SIZES = ((640, 480), (400, 800))
DESKTOP, PHONE = (1280, 900), (390, 844)
TRUE = Box(0.1, 0.1, 0.5, 0.5)
# What rollout `n` of a group claims in image 2, and what that earns it.
BOXES = (TRUE, Box(0.1, 0.1, 0.5, 0.3), Box(0.6, 0.6, 0.9, 0.9))


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium, of the system."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium: apt-get install -y chromium")
    with playwright.sync_playwright() as started:
        is_root = hasattr(os, "geteuid") and os.geteuid() == 0  # whom Chromium's sandbox refuses
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"] if is_root else [])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium):
    """A function that opens a page in a window of a size; at the end it must have logged and loaded nothing."""
    logged, asked, contexts = [], [], []

    def open_page(path, size=DESKTOP, scheme="light"):
        context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: logged.append(message.text))
        page.on("pageerror", lambda error: logged.append(str(error)))
        page.on("dialog", lambda dialog: logged.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not logged
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]


def image(colour, size):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "png")
    return file.getvalue()


def rows(prompts=30):
    """Groups of three completions: the first is right, the second half right, the third is wrong or cannot be read."""
    target = Target((Claim(2, TRUE, label="dog"),), SIZES)
    pictures = (image("navy", SIZES[0]), image("olive", SIZES[1]))
    for prompt in range(prompts):
        for number, box in enumerate(BOXES):
            claims = (Claim(2, box, label="dog"), Claim(1, box, label="cat")) if number == 2 else (Claim(2, box),)
            text = render(claims, GRAMMARS["mirg"], SIZES, think=f"thought {prompt}.{number}")
            yield Rollout(
                place=f"rows.jsonl: line {3 * prompt + number + 1}",
                prompt=f"Find the dog of prompt {prompt}.",
                text=text if prompt % 2 == 0 or number < 2 else "no idea",
                target=target,
                images=pictures,
                group=prompt,
                step=prompt // 10,
                task="even" if prompt % 2 == 0 else "odd",
            )


def written(folder, rollouts, **options):
    write_page(score_rollouts(list(rollouts), presets.mirg_rl()), folder / "page.html", **options)
    return folder / "page.html"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    return written(tmp_path_factory.mktemp("page"), rows())


def rewards(page):
    return [float(text.split()[0]) for text in page.locator("article .reward").all_inner_texts()]


def focused(page, property_name="className"):
    return page.evaluate(f"document.activeElement.{property_name}")


def eventually(page, holds):
    """Wait until `holds()`, which the page's policy does not let it wait for itself."""
    for _ in range(200):
        if holds():
            return
        page.wait_for_timeout(20)
    assert holds()


def pointed_at(page):
    """What kind of things stand out, and of which claim."""
    return page.evaluate(
        "[...document.querySelectorAll('.on')].map((one) => `${one.localName} ${one.dataset.claims}`).sort()"
    )


# Layout


@pytest.mark.parametrize("size", [DESKTOP, PHONE, (320, 640)])
def test_no_window_is_too_narrow(opened, tmp_path, size):
    long = "unbreakable" * 60
    target = Target((Claim(1, TRUE, label=long),), (None,))
    text = render(target.claims, GRAMMARS["mirg"], (None,), think=long)
    rollouts = [*rows(2), Rollout(long, long, text, target, terms={long: 1.0}, reward=0.5, task=long, step=1)]
    page = opened(written(tmp_path, rollouts, title=long), size)
    for view in ("rollouts", "groups"):
        page.locator(f"[name=view][value={view}]").check(force=True)
        assert page.locator("article").count() == 7
        assert page.evaluate("document.documentElement.scrollWidth") == size[0]
        outside = "(one) => one.getBoundingClientRect().right > innerWidth + 1"
        assert not page.evaluate(f"[...document.querySelectorAll('article *:not(svg *)')].filter({outside}).length")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(opened, page_file, scheme):
    page = opened(page_file, scheme=scheme)
    page.select_option("#defect", "any")
    ratios = page.evaluate("""() => {
      const light = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map((part) => part / 255)
          .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const ground = (one) => {
        const colour = getComputedStyle(one).backgroundColor;
        return colour.startsWith("rgb(") ? colour : ground(one.parentElement);
      };
      const ratio = (one) => {
        const [high, low] = [light(getComputedStyle(one).color), light(ground(one))].sort((a, b) => b - a);
        return (high + 0.05) / (low + 0.05);
      };
      const names = ["h1", ".quiet", ".prompt", ".tag", ".think", ".answer", ".defects li", ".chip .label", ".term dt"];
      return names.flatMap((name) => [...document.querySelectorAll(name)].map((one) => [name, ratio(one)]));
    }""")
    assert ratios
    assert not [(name, ratio) for name, ratio in ratios if ratio < 4.5]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != (
        "rgb(250, 249, 247)" if scheme == "dark" else "rgb(19, 20, 22)"
    )


def test_boxes_lie_where_they_are_in_their_images(opened, page_file):
    page = opened(page_file)
    article = page.locator("article").nth(1)
    frame = article.locator(".frame").nth(1)
    assert frame.locator("img").evaluate("(one) => one.naturalWidth / one.naturalHeight") == 0.5
    outer = frame.bounding_box()
    assert outer["width"] / outer["height"] == pytest.approx(0.5, abs=0.01)
    for kind, box in (("true", BOXES[0]), ("predicted", BOXES[1])):
        inner = frame.locator(f".outline.{kind} rect").last.bounding_box()
        corners = [
            (inner["x"] - outer["x"]) / outer["width"],
            (inner["y"] - outer["y"]) / outer["height"],
            (inner["x"] + inner["width"] - outer["x"]) / outer["width"],
            (inner["y"] + inner["height"] - outer["y"]) / outer["height"],
        ]
        assert corners == pytest.approx(box.corners, abs=0.02)
    assert article.locator(".frame").first.locator(".outline").count() == 0
    assert article.locator(".chip.predicted .iou").inner_text() == "IoU 0.50"


def test_an_image_that_is_not_there_is_a_frame_of_its_proportions(opened, tmp_path):
    target = Target((Claim(2, TRUE),), SIZES)
    page = opened(
        written(tmp_path, [Rollout("a", "?", "?", target, images=(tmp_path / "no.png", tmp_path / "no.png"))])
    )
    assert page.locator("article img").count() == 0
    boxes = [frame.bounding_box() for frame in page.locator(".frame").all()]
    assert [box["width"] / box["height"] for box in boxes] == pytest.approx([4 / 3, 0.5], abs=0.01)
    assert page.locator(".outline.true").count() == 1


def test_linked_images_are_shown(opened, tmp_path):
    name = 'a "#?%41<img src=x onerror=alert(1)>.png'
    (tmp_path / name).write_bytes(image("red", (30, 20)))
    target = Target((), (None,))
    page = opened(written(tmp_path, [Rollout("a", "?", "?", target, images=(tmp_path / name,))], images="link"))
    ratio = "document.images[0].width / document.images[0].height"
    eventually(page, lambda: page.evaluate("document.images[0].naturalWidth") == 30)
    eventually(page, lambda: page.evaluate(ratio) == pytest.approx(1.5, abs=0.01))


# Filters, order, groups


def test_filters(opened, page_file):
    page = opened(page_file)

    def count():
        return page.locator("#count").inner_text()

    assert count() == "90 of 90 rollouts"
    page.select_option("#task", label="odd")
    assert count() == "45 of 90 rollouts"
    page.select_option("#step", "2")
    assert count() == "15 of 90 rollouts"
    page.select_option("#defect", "none")
    assert count() == "10 of 90 rollouts"
    page.select_option("#defect", label="no answer (15)")
    assert count() == "5 of 90 rollouts"
    assert page.locator(".defects li").first.inner_text() == "The think part is missing." or page.locator(
        ".defects li"
    ).first.inner_text().startswith("No answer was found")
    page.fill("#search", "PROMPT 21.")
    eventually(page, lambda: count() == "1 of 90 rollouts")
    page.click("#reset")
    eventually(page, lambda: count() == "90 of 90 rollouts")
    page.locator(".bars button").last.click()
    assert count().startswith("30 of 90 rollouts, reward 0.95 to")
    assert set(rewards(page)) == {1.0}
    page.click("#count button")
    assert count() == "90 of 90 rollouts"
    page.fill("#search", "nowhere to be found")
    eventually(page, lambda: count().startswith("No rollout"))
    assert page.locator("article").count() == 0


def test_order(opened, page_file):
    page = opened(page_file)
    page.select_option("#sort", "reward")
    assert set(rewards(page)) == {1.0}
    page.select_option("#order", "up")
    assert rewards(page) == sorted(rewards(page))
    assert rewards(page)[0] == 0.0
    page.select_option("#sort", "term object")
    page.select_option("#order", "down")
    assert set(rewards(page)) == {1.0}
    page.select_option("#sort", "disagreement")
    # Groups in which one cannot be read at all differ most, and stay together.
    assert page.locator("article .where").nth(3).inner_text().startswith("step 0 · odd")
    assert rewards(page)[:3] == rewards(page)[3:6]
    page.keyboard.press("n")
    assert page.locator("#pages span").inner_text() == "2 of 5"
    page.select_option("#sort", "reward")
    assert page.locator("#pages span").inner_text() == "1 of 5"


def test_a_group_shows_all_completions_of_a_prompt_side_by_side(opened, page_file):
    page = opened(page_file)
    page.locator("article").nth(4).get_by_role("button").click()
    assert page.locator("#count").inner_text().startswith("3 of 90 rollouts in 1 group")
    assert page.locator(".group h2").inner_text() == "Find the dog of prompt 1."
    boxes = [article.bounding_box() for article in page.locator(".beside article").all()]
    assert len(boxes) == 3
    assert len({box["y"] for box in boxes}) == 1
    assert boxes[0]["x"] < boxes[1]["x"] < boxes[2]["x"]
    page.locator("[name=view][value=rollouts]").check(force=True)
    assert page.locator("#count").inner_text() == "90 of 90 rollouts"


def test_a_group_dims_what_the_filter_leaves_out(opened, page_file):
    page = opened(page_file)
    page.select_option("#defect", "any")
    page.locator("[name=view][value=groups]").check(force=True)
    first = page.locator(".group").first
    assert first.locator("article").count() == 3
    assert first.locator("article.other").count() == 2


def test_curves_tell_how_rewards_went(opened, page_file):
    page = opened(page_file)
    label = page.locator(".chart svg").first.get_attribute("aria-label")
    assert label.startswith("reward by step, from ")
    assert label.endswith("at step 2")
    assert page.locator(".chart polyline").first.get_attribute("points").count(" ") == 2
    page.select_option("#step", "1")
    assert page.locator(".chart polyline").count() == 0
    assert page.locator(".chart").count() > 1


def test_tasks_are_told_apart_in_numbers(opened, page_file):
    page = opened(page_file)
    cells = [row.locator("th, td").all_inner_texts() for row in page.locator(".tasks tr").all()]
    assert cells[0] == ["task", "n", "reward", "format", "image", "object"]
    assert [row[:2] for row in cells[1:]] == [["even", "45"], ["odd", "45"]]
    rewards = page.evaluate("index.rows.filter((row) => row[2] === 0).map((row) => row[3])")
    assert float(cells[1][2]) == pytest.approx(sum(rewards) / 45, abs=0.006)
    page.select_option("#task", label="odd")
    assert page.locator(".tasks").count() == 0


# Pointing


def test_pointing_at_a_claim_shows_it_everywhere(opened, page_file):
    page = opened(page_file)
    article = page.locator("article").nth(2)
    article.scroll_into_view_if_needed()
    page.mouse.move(0, 0)
    everywhere = ["g p0", "li p0", "mark p0"]
    for place in ("mark", ".chip.predicted", ".outline.predicted"):
        article.locator(place + "[data-claims=p0]").hover()
        assert pointed_at(page) == everywhere, place
        faded = article.locator("mark[data-claims=p1]")
        eventually(page, lambda: float(faded.evaluate("(one) => getComputedStyle(one).opacity")) < 1)  # noqa: B023
        page.mouse.move(0, 0)
        assert pointed_at(page) == []
    article.locator(".chip.true").hover()
    assert pointed_at(page) == ["g t0", "li t0"]
    # What it is paired with can be compared.
    half_right = page.locator("article").nth(1)
    half_right.locator("mark").hover()
    assert pointed_at(page) == everywhere
    assert half_right.locator(".near").count() == half_right.locator("[data-claims=t0]").count() == 2


def test_the_keyboard_reaches_everything(opened, page_file):
    page = opened(page_file)
    page.locator("#reset").focus()
    page.keyboard.press("Tab")
    assert focused(page, "dataset.number") == "0"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert focused(page, "dataset.number") == "2"
    assert page.locator("article[tabindex='0']").count() == 1
    page.keyboard.press("ArrowRight")
    assert pointed_at(page) == ["g t0", "li t0"]
    page.keyboard.press("ArrowRight")
    assert pointed_at(page) == ["g p0", "li p0", "mark p0"]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert focused(page, "localName") == "mark"
    assert pointed_at(page) == ["g p0", "li p0", "mark p0"]
    page.keyboard.press("Escape")
    assert focused(page, "dataset.number") == "2"
    assert pointed_at(page) == []
    page.keyboard.press("End")
    assert focused(page, "dataset.number") == "19"
    page.keyboard.press("n")
    assert focused(page, "dataset.number") == "20"
    page.keyboard.press("g")
    assert page.locator(".group article").count() == 3
    page.keyboard.press("Escape")
    assert focused(page, "dataset.number") == "18"
    page.keyboard.press("/")
    assert focused(page, "id") == "search"
    page.keyboard.type("ng/")
    assert page.locator("#search").input_value() == "ng/"
    page.locator("#reset").click()
    page.wait_for_timeout(200)
    assert page.locator("article").count() == 20
    page.locator("#search").focus()
    page.keyboard.press("Escape")
    assert focused(page, "dataset.number") == "0"


def test_the_histogram_is_one_stop_of_the_keyboard(opened, page_file):
    page = opened(page_file)
    page.locator(".bars button").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".bars button[tabindex='0']").count() == 1
    page.locator(".bars button").last.focus()
    page.keyboard.press("Enter")
    assert focused(page, "ariaPressed") == "true"
    assert page.locator("#count").inner_text().startswith("30 of 90")
    page.keyboard.press("Enter")
    assert page.locator("#count").inner_text() == "90 of 90 rollouts"


# Hostile text

RUN = "window.canary = 1"
ATTACKS = (
    f"<script>{RUN}</script>",
    f"</script><script>{RUN}</script>",
    f"<!--<script>{RUN}</script>",
    f"<img src=x onerror='{RUN}'>",
    f"<svg onload={RUN!r}><animate onbegin={RUN!r}>",
    f'"\'><iframe srcdoc="<script>parent.{RUN.removeprefix("window.")}</script>">',
    f"javascript:{RUN}",
    f"${{{RUN}}}",
    f"{{{{ {RUN} }}}}{{% raw %}}",
    "<base href='https://example.org/'><link rel=stylesheet href=//example.org/a.css>",
    "</style><style>*{display:none}</style>",
    "\u2028\u2029\u202e\x00\x1b]0;x\x07\ud800",
    "__proto__",
    "constructor",
)


@pytest.mark.parametrize("view", ["rollouts", "groups"])
def test_what_a_model_writes_is_never_run(opened, tmp_path, view):
    def hostile(attack):
        said = json.dumps([{"image": 1, "bbox_2d": [100, 100, 500, 500], "label": attack}])
        text = f"<think>{attack}</think><answer>{said}</answer>{attack}"
        target = Target((Claim(1, TRUE, label=attack),), (None,))
        names = {"task": attack, "group": attack, "place": attack, "terms": {attack: 0.5}, "reward": 0.5}
        return Rollout(prompt=attack, text=text, target=target, images=(tmp_path / "a.png",), step=1, **names)

    rollouts = [hostile(attack) for attack in ATTACKS]
    title = "".join(ATTACKS).replace("\ud800", "")
    page = opened(written(tmp_path, rollouts, title=title), PHONE)
    page.locator(f"[name=view][value={view}]").check(force=True) if page.locator("#view").is_visible() else None
    assert page.locator("article").count() == len(ATTACKS)
    for id_ in ("task", "sort"):
        for value in page.locator(f"#{id_} option").evaluate_all("(all) => all.map((one) => one.value)"):
            page.select_option(f"#{id_}", value)
        page.select_option(f"#{id_}", index=0)
    page.locator(".chip").first.hover()
    page.wait_for_timeout(200)
    assert page.evaluate("window.canary") is None
    assert page.locator("article :is(script, style, iframe, base, link, img:not(.frame img))").count() == 0
    shown = page.locator("article .text").evaluate_all("(all) => all.map((one) => one.textContent)")
    assert [text for attack, text in zip(ATTACKS, shown, strict=True) if attack not in text] == []


def test_the_policy_stops_scripts_that_the_page_does_not_know(chromium, page_file):
    page = chromium.new_page()
    page.goto(page_file.as_uri())
    for statement in (
        "document.body.innerHTML = '<img src=x onerror=\"window.canary = 1\">'",
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.canary = 1'}))",
        "setTimeout('window.canary = 1')",
    ):
        with pytest.raises(Exception, match=r"TrustedHTML|TrustedScript|unsafe-eval"):
            page.evaluate(f"() => {{ {statement} }}")
    page.wait_for_timeout(100)
    assert page.evaluate("window.canary") is None
    page.close()


def test_the_canary_would_be_seen(chromium, tmp_path):
    (tmp_path / "open.html").write_text(f"<p>{ATTACKS[0]}</p>")
    page = chromium.new_page()
    page.goto((tmp_path / "open.html").as_uri())
    assert page.evaluate("window.canary") == 1
    page.close()
