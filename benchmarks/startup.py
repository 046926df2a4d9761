"""Times the start of the package and of its commands, as ratios to `import torch`; appends them to results.csv.

python benchmarks/startup.py            # half a minute
python benchmarks/startup.py --no-write # prints only
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from run import processor

import mirg_rewards

HERE = Path(__file__).parent
GATE = ("tests/test_imports.py",)
BASE = "import torch"
COMPLETION = '<think>The dog is on the left.</think><answer>[{"image": 2, "bbox_2d": [100, 200, 300, 400]}]</answer>'
LIMITS = {"mirg-rewards --help": 0.2, "mirg-rewards inspect FILE": 0.35, "import mirg_rewards": 0.25}


def cpu_seconds(words: list[str], text: str) -> float:
    """CPU time of one Python process on one thread, user and system, which gets `text` on standard input."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, *words], input=text, text=True, env=environment, stdout=subprocess.DEVNULL, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(rounds: int) -> dict[str, float]:
    """The least CPU time of each start, in seconds; the starts are interleaved."""
    starts = {
        BASE: ["-c", BASE],
        "mirg-rewards --help": ["-m", "mirg_rewards", "--help"],
        "mirg-rewards inspect FILE": ["-m", "mirg_rewards", "inspect", "-", "--sizes", "640x480,800x600"],
        "import mirg_rewards": ["-c", "import mirg_rewards"],
    }
    best = dict.fromkeys(starts, float("inf"))
    for _ in range(rounds + 1):  # the first round also writes the byte code
        for name, words in starts.items():
            best[name] = min(best[name], cpu_seconds(words, COMPLETION))
    return best


def main() -> int:
    """Test, time, print, write; the exit status is 1 if a start is over its limit."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--no-write", action="store_true", help="print only, leave results.csv as it is")
    options = arguments.parse_args()
    green = subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", *GATE], cwd=HERE.parent, check=False)
    if green.returncode:
        print("the tests are red: a benchmark of wrong results says nothing", file=sys.stderr)
        return 1
    best = measure(options.rounds)
    ratios = {name: seconds / best[BASE] for name, seconds in best.items() if name != BASE}
    print(f"{BASE}: {best[BASE]:.3f} s of CPU")
    for name, ratio in ratios.items():
        print(f"{name}: {best[name]:.3f} s, {ratio:.3f} of {BASE}, at most {LIMITS[name]}")
    if not options.no_write:
        rows = [("startup", BASE, f"{best[BASE]:.3f}", "s")]
        rows += [("startup", name, f"{ratio:.3f}", f"x {BASE}") for name, ratio in ratios.items()]
        today = dt.datetime.now(dt.UTC).date().isoformat()
        stamp = (today, mirg_rewards.__version__, processor(), platform.python_version(), version("torch"))
        with (HERE / "results.csv").open("a", newline="") as file:
            csv.writer(file).writerows((*stamp, *row) for row in rows)
    return int(any(ratio > LIMITS[name] for name, ratio in ratios.items()))


if __name__ == "__main__":
    sys.exit(main())
