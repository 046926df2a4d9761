"""Times how long the page of `mirg-rewards report` takes to open in a headless Chromium, with photographs in it.

python benchmarks/page_load.py                    # 2,000 rollouts of 250 prompts with 3 images each, about a minute
python benchmarks/page_load.py --rollouts 20000
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageFilter
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.table import Table

from mirg_rewards import GRAMMARS, Box, Claim, Target, presets, render
from mirg_rewards.report.page import write_page
from mirg_rewards.report.rollouts import Rollout
from mirg_rewards.report.scored_rollouts import score_rollouts

GROUP, IMAGES, SIZE = 8, 3, (640, 480)
WINDOWS = {"desktop": (1280, 900), "phone": (390, 844)}


def photograph(path: Path, rng: random.Random) -> Path:
    """A JPEG that weighs what a photograph does: blurred noise in colour."""
    bands = [Image.effect_noise((160, 120), rng.randint(40, 90)).resize(SIZE) for _ in range(3)]
    Image.merge("RGB", bands).filter(ImageFilter.GaussianBlur(1)).save(path, quality=85)
    return path


def rollouts(count: int, folder: Path) -> Iterator[Rollout]:
    """Groups of completions with a paragraph of thinking and two boxes each."""
    rng = random.Random(0)
    sizes = (SIZE,) * IMAGES
    for number in range(count):
        prompt = number // GROUP
        if number % GROUP == 0:
            images = tuple(photograph(folder / f"{prompt}_{image}.jpg", rng) for image in range(IMAGES))
            target = Target((Claim(1, _box(rng), label="dog"), Claim(3, _box(rng), label="dog")), sizes)
        claims = [Claim(rng.randint(1, IMAGES), _box(rng), label="dog") for _ in range(2)]
        text = render(claims, GRAMMARS["mirg"], sizes, think="I look at each of the images in turn. " * 20)
        yield Rollout(
            f"line {number}", f"Find the dogs ({prompt}).", text, target, images, group=prompt, step=prompt // 10
        )


def _box(rng: random.Random) -> Box:
    x, y = rng.uniform(0, 0.6), rng.uniform(0, 0.6)
    return Box(x, y, x + rng.uniform(0.1, 0.4), y + rng.uniform(0.1, 0.4))


def opening(browser: Browser, page: Path, window: tuple[int, int]) -> tuple[float, float]:
    """Seconds until the first rollouts and their images are there, and until another order of all is."""
    context = browser.new_context(viewport={"width": window[0], "height": window[1]})
    tab = context.new_page()
    begin = time.perf_counter()
    tab.goto(page.as_uri())
    tab.evaluate("() => Promise.all([...document.images].map((image) => image.decode()))")
    opened = time.perf_counter() - begin
    begin = time.perf_counter()
    tab.select_option("#sort", "disagreement")
    tab.evaluate("() => Promise.all([...document.images].map((image) => image.decode()))")
    done = time.perf_counter() - begin
    context.close()
    return opened, done


def main() -> None:
    """Print the median of five openings for each window."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=2000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        begin = time.perf_counter()
        every = list(rollouts(arguments.rollouts, folder))
        made = time.perf_counter()
        scorer = presets.mirg_rl()
        chunks = (every[start : start + 256] for start in range(0, len(every), 256))
        write_page((one for chunk in chunks for one in score_rollouts(chunk, scorer)), folder / "page.html")
        written = time.perf_counter() - made
        size = (folder / "page.html").stat().st_size / 1e6
        print(f"{len(every)} rollouts (made in {made - begin:.0f} s), written in {written:.1f} s, {size:.1f} MB")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        table = Table("window", "opens in", "sorts in", title=f"Chromium {browser.version}, seconds")
        for window, sides in WINDOWS.items():
            times = sorted(opening(browser, folder / "page.html", sides) for _ in range(5))
            table.add_row(window, f"{times[2][0]:.2f}", f"{sorted(time for _, time in times)[2]:.2f}")
        Console().print(table)
        browser.close()


if __name__ == "__main__":
    main()
