"""A coverage-guided search for texts that break the parser: `python tests/fuzz/fuzz_parsing.py --seconds 60`.

What is not an option of this script goes to libFuzzer: its flags (`-max_len=65536`), and a folder in which to keep the
corpus. See the README beside this file.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent / "data" / "format_samples.jsonl"


def write_seeds(folder: Path) -> None:
    """Write the sample completions as inputs into `folder`, and what each grammar writes of a claim of each kind."""
    from mirg_rewards import GRAMMARS, Box, Claim, Point, render

    ids = list(GRAMMARS)
    for line in SAMPLES.read_text(encoding="utf-8").splitlines():
        sample = json.loads(line)
        family = "prose" if sample["format"].startswith("prose") else sample["format"]
        first = ids.index(family) if family in ids else 0
        second = min(sample["n_images"], 4) - 1
        seed = bytes([first, second]) + sample["text"].encode("utf-8", "surrogatepass")
        (folder / sample["id"]).write_bytes(seed)
    box, corners = Box(0.25, 0.25, 0.5, 0.75), ((0.25, 0.25), (0.5, 0.25), (0.375, 0.75))
    for first, (name, grammar) in enumerate(GRAMMARS.items()):
        for number, claim in enumerate(
            (
                Claim(2, box),
                Claim(2, box, label="dog"),
                Claim(2, None, Point(0.25, 0.5)),
                Claim(2, None, Point(0.25, 0.5), "dog"),
                Claim(2, box, label="dog", polygon=corners),
                Claim(2, box, polygon=(*corners, (0.25, 0.75))),
            )
        ):
            try:
                text = render([claim, claim], grammar, [(640, 480)] * 2, think="Here.")
            except ValueError:
                continue  # not every family has a way to write every kind
            (folder / f"{name}_{number}").write_bytes(bytes([first, 5]) + text.encode())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    arguments.add_argument("--seconds", type=int, default=0, help="how long to search; 0, as by default: for ever")
    options, rest = arguments.parse_known_args()

    import atheris

    with atheris.instrument_imports(include=["mirg_rewards"]):
        import invariants

    def try_one(data: bytes) -> None:
        name, sizes, text = invariants.case(data)
        try:
            invariants.check(text, invariants.GRAMMARS[name], sizes)
        except Exception:
            sys.stderr.write(f"\ngrammar {name}, sizes {sizes}, text {text[:4096]!r}\n")
            raise

    flags = [
        f"-dict={HERE / 'parsing.dict'}",
        f"-artifact_prefix={HERE / 'found'}/",
        f"-max_total_time={options.seconds}",
        "-max_len=4096",
        "-len_control=0",
        # Repeated texts are a hundred times as slow as others: tried as well, but not for most of the time.
        "-entropic_scale_per_exec_time=1",
        # Atheris never frees the result of a comparison of arrays: some 60 KB a text, which is no leak of the parser.
        "-rss_limit_mb=16384",
        "-malloc_limit_mb=4096",
        "-timeout=30",
    ]
    # The first word is how libFuzzer calls itself to minimise a crash; the last of equal flags counts.
    command = [shlex.join([sys.executable, str(HERE / "fuzz_parsing.py")]), *flags, *rest]
    if not any(Path(argument).is_file() for argument in rest):
        # libFuzzer ends the process itself, so that nothing here could remove the folder.
        seeds = tempfile.mkdtemp(prefix="fuzz_parsing_")
        write_seeds(Path(seeds))
        command += [seeds, str(HERE / "found")]
    atheris.Setup(command, try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
