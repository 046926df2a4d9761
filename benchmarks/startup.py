"""Times the start of the package and of its commands, as ratios to `import torch`; appends them to results.csv.

python benchmarks/startup.py            # half a minute
python benchmarks/startup.py --no-write # prints only
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

from timing import Row, gate_passes, record, use_one_thread

GATE = ("tests/test_imports.py",)
BASE = "import torch"
COMPLETION = '<think>The dog is on the left.</think><answer>[{"image": 2, "bbox_2d": [100, 200, 300, 400]}]</answer>'
LIMITS = {"mirg-rewards --help": 0.2, "mirg-rewards inspect FILE": 0.35, "import mirg_rewards": 0.25}


def cpu_seconds(words: list[str], text: str) -> float:
    """User and system time of one Python process that gets `text` on standard input."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], input=text, text=True, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(rounds: int) -> dict[str, float]:
    """Return the least CPU time of each start, in seconds; the starts are interleaved."""
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
    if not gate_passes(GATE):
        return 1
    use_one_thread()
    best = measure(options.rounds)
    ratios = {name: seconds / best[BASE] for name, seconds in best.items() if name != BASE}
    print(f"{BASE}: {best[BASE]:.3f} s of CPU")
    for name, ratio in ratios.items():
        print(f"{name}: {best[name]:.3f} s, {ratio:.3f} of {BASE}, at most {LIMITS[name]}")
    if not options.no_write:
        rows: list[Row] = [("startup", BASE, best[BASE], "s")]
        record([*rows, *(("startup", name, ratio, f"x {BASE}") for name, ratio in ratios.items())])
    return int(any(ratio > LIMITS[name] for name, ratio in ratios.items()))


if __name__ == "__main__":
    sys.exit(main())
