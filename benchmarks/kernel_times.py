"""Times the kernels beside others that do the same work, on one thread, behind a green test run; appends to results.csv.

python benchmarks/kernel_times.py            # about three minutes; on a machine with a GPU also the Triton kernels
python benchmarks/kernel_times.py --no-write # prints only

Others are timed where they are installed: pip install supervision pycocotools lapx torch-linear-assignment torchvision
(torch-linear-assignment has kernels of its own for a GPU only where it was built beside CUDA's compiler).
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from kernel_peers import (
    Arguments,
    Contestants,
    answers,
    assignments,
    flat,
    overlaps,
    padded_compare,
    padded_overlaps,
    tables,
)
from rich.console import Console
from rich.table import Table
from timing import Row, gate_passes, medians, record, use_one_thread

from mirg_rewards import kernels
from mirg_rewards.kernels import reference

GATE = ("tests/test_kernels.py",)
GATE_ON_GPU = ("tests/test_fused.py",)
SHAPES = {"1 to 8 boxes": {"most": 8}, "1 or 2 boxes, 2 % with 20": {"most": 2, "rarely": 0.02}}

console = Console()


def check(name: str, found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-6) -> None:
    """Raises AssertionError where a contestant's results are others: they are compared before time is."""
    error = (found.cpu().double() - expected.cpu().double()).abs().max().item()
    assert error <= tolerance, f"{name} is off by {error}"


def show(title: str, seconds: Mapping[str, float], count: int, unit: str) -> Iterator[Row]:
    """A table with ratios to ours, and the rows for results.csv."""
    table = Table(title, f"us / {unit}", "ratio")
    ours = next(iter(seconds.values()))
    for name, value in seconds.items():
        table.add_row(name, f"{1e6 * value / count:.3f}", f"{value / ours:.2f}")
        yield "kernels", f"{title}: {name}", 1e6 * value / count, f"us/{unit}"
    console.print(table)


def of_match(arguments: Arguments) -> Arguments:
    """The arguments of `match`, from those of `compare`."""
    boxes, _, images, offsets, true, _, true_images, true_offsets = arguments
    return boxes, offsets, true, true_offsets, images, true_images


def of_image_match(arguments: Arguments) -> Arguments:
    """The arguments of `image_match`, from those of `compare`."""
    return (*arguments[2:4], *arguments[6:8])


def on_cpu(rounds: int) -> Iterator[Row]:
    """Overlaps, the dual reward, and pairings, by ours and by others."""
    for shape, options in SHAPES.items():
        arguments = answers(4096, **options)
        contestants = overlaps(arguments)
        expected = flat(contestants["mirg_rewards"]())
        for name, run in contestants.items():
            check(name, flat(run()), expected)
        yield from show(f"overlaps, {shape}", medians(contestants, rounds), 4096, "answer")

        found, (shares, totals) = kernels.compare(*arguments), padded_compare(arguments)
        check("padded PyTorch, images", shares, found.image_shares)
        check("padded PyTorch, totals", totals, found.totals)
        yield from show(f"image share and total, {shape}", medians(dual_reward(arguments), rounds), 4096, "answer")
    yield from by_size(rounds)
    for size in (1, 2, 4, 8, 16):
        for kind, table in tables(1024, size).items():
            contestants = assignments(table)
            for name, run in contestants.items():
                check(name, run(), contestants["scipy.linear_sum_assignment"]())
            yield from show(f"pairing of {size} x {size} {kind}", medians(contestants, rounds), 1024, "problem")


def dual_reward(arguments: Arguments) -> Contestants:
    """What the dual reward is made of, at once and in parts, and by padded PyTorch."""
    return {
        "mirg_rewards": lambda: kernels.compare(*arguments),
        "padded PyTorch and SciPy": lambda: padded_compare(arguments),
        "padded PyTorch, overlaps alone": lambda: padded_overlaps(arguments),
        "image_match": lambda: kernels.image_match(*of_image_match(arguments)),
        "match": lambda: kernels.match(*of_match(arguments)),
    }


def by_size(rounds: int) -> Iterator[Row]:
    """The time of an answer in batches of several sizes, and the memory of the largest."""
    options = SHAPES["1 or 2 boxes, 2 % with 20"]
    batches = {count: answers(count, **options) for count in (4096, 65536, 1024, 64, 1)}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = {
        f"a batch of {count}": value / count
        for count, value in medians(
            {count: lambda batch=batch: kernels.compare(*batch) for count, batch in batches.items()}, rounds
        ).items()
    }
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    yield from show("image share and total by batch", seconds, 1, "answer")
    console.print(f"peak memory grew by {grown:.0f} MB")
    yield "kernels", "peak memory of all batches, beyond their boxes", grown, "MB"


def on_gpu(rounds: int) -> Iterator[Row]:
    """The Triton kernels beside the floors, a copy of the same bytes and an empty launch, and beside PyTorch."""
    for count in (64, 1024, 4096, 65536):
        contestants = launched(answers(count, 8))
        yield from show(f"GPU, {count} answers", device_medians(contestants, rounds), 1, "batch")
        recorded = {name: replayed(run) for name, run in contestants.items() if "padded" not in name}
        yield from show(f"GPU, {count} answers, as a CUDA graph", device_medians(recorded, rounds), 1, "batch")
    for size in (2, 4, 8, 16):
        for kind, table in tables(16384, size).items():
            contestants = assignments(table.float().cuda())
            contestants = {
                name: contestants[name] for name in ("mirg_rewards", "torch-linear-assignment") if name in contestants
            }
            for run in contestants.values():
                check(kind, run(), contestants["mirg_rewards"](), 1e-4)
            yield from show(
                f"GPU, pairing of 16,384 {size} x {size} {kind}", device_medians(contestants, rounds), 1, "batch"
            )


def launched(plain: Arguments) -> Contestants:
    """What there is to time on the device for these answers, compared with float64 on the CPU."""
    from mirg_rewards.kernels import fused

    expected = reference.compare(*plain)
    wide = tuple(tensor.cuda() for tensor in plain)
    single = tuple(tensor.float() if tensor.is_floating_point() else tensor for tensor in wide)
    certain = one_each(single)
    for name, arguments in (("float64", wide), ("float32", single)):
        found = fused.compare(*arguments, max_per_row=8)
        check(f"fused.compare, {name}", found.totals, expected.totals, 1e-12 if name == "float64" else 1e-5)
        check(f"fused.compare, {name}, images", found.image_shares, expected.image_shares, 0)
    check("padded PyTorch", padded_compare(single)[1], expected.totals, 1e-5)
    source = torch.empty(sum(tensor.nbytes for tensor in single) // 4, dtype=torch.float32, device="cuda")
    goal, nothing = torch.empty_like(source), torch.empty(1, device="cuda")
    return {
        "overlaps, images, sums (all pairings certain)": lambda: fused.compare(*certain, max_per_row=8),
        "with pairing": lambda: fused.compare(*single, max_per_row=8),
        "with pairing, float64": lambda: fused.compare(*wide, max_per_row=8),
        "match": lambda: fused.match(*of_match(single), max_per_row=8),
        "image_match": lambda: fused.image_match(*of_image_match(single)),
        "floor: a copy of the same bytes": lambda: goal.copy_(source),
        "floor: an empty launch": nothing.zero_,
        "padded PyTorch, overlaps alone": lambda: padded_overlaps(single),
        "padded PyTorch and SciPy": lambda: padded_compare(single),
    }


def one_each(arguments: Arguments) -> Arguments:
    """The same boxes, every answer's as it is true: no two want the same target."""
    boxes, has_box, images, offsets, *_ = arguments
    return boxes, has_box, images, offsets, boxes.flip(-1).flip(-1), has_box, images, offsets


def replayed(run: Callable[[], Any]) -> Callable[[], Any]:
    """The same launches recorded, so that the time is the device's own and not that of the calls; they may not wait."""
    graph = torch.cuda.CUDAGraph()
    run()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def device_medians(contestants: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The median seconds on the device, each round a mean of ten calls one behind the other."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        run()
    for _ in range(rounds):
        for name, run in contestants.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            begin.record()
            for _ in range(10):
                run()
            end.record()
            torch.cuda.synchronize()
            seconds[name].append(begin.elapsed_time(end) / 1e4)
    return {name: sorted(times)[len(times) // 2] for name, times in seconds.items()}


def main() -> int:
    """Test, compare, time, print, write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--no-write", action="store_true", help="print only, leave results.csv as it is")
    options = arguments.parse_args()
    has_gpu = torch.cuda.is_available()
    gate = GATE + (GATE_ON_GPU if has_gpu else ())
    if not gate_passes(gate):
        return 1
    use_one_thread()
    rows = list(on_cpu(options.rounds))
    on_device = list(on_gpu(options.rounds)) if has_gpu else []
    if not options.no_write:
        record(rows)
        if on_device:
            record(on_device, hardware=torch.cuda.get_device_name())
    return 0


if __name__ == "__main__":
    sys.exit(main())
