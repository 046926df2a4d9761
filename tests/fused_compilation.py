"""The Triton programs compiled for an H100 or H200, without one; `test_fused.py` runs it in its own process."""

import re
import subprocess
from itertools import product
from pathlib import Path

import pytest
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from mirg_rewards.kernels import fused
from mirg_rewards.kernels.fused import programs

POINTERS = {"boxes": "*fp32", "has_box": "*i1", "values_out": "*fp32", "totals_out": "*fp32", "shares_out": "*fp64"}
SCALARS = {"count": "i32", "least": "fp64", "threshold": "fp64"}
CHOICES = {
    "compare": {},
    "match": {"KIND": "iou", "OBJECTIVE": "sum", "LABELS": False},
    "match, count then sum": {"KIND": "iou", "OBJECTIVE": "count_then_sum", "LABELS": False},
    "match, ciou and labels": {"KIND": "ciou", "OBJECTIVE": "sum", "LABELS": True},
    "match, given": {"KIND": "given", "OBJECTIVE": "sum", "LABELS": False},
    "image_match": {},
    "pair_iou": {"KIND": "iou"},
    "pair_iou, ciou": {"KIND": "ciou"},
}
# Registers of a thread: up to 80 leave 25 and more warps to a multiprocessor.
REGISTERS = {"match, ciou and labels": 128}


def type_of(name):
    if name in SCALARS:
        return SCALARS[name]
    name = name.removeprefix("target_")
    return POINTERS.get(name, "*fp32" if name in {"angles", "given"} else "*i64")


def compiled(name, columns, boxes="fp32", arithmetic="fp32", integers="i64"):
    program = getattr(programs, name.split(",")[0] + "_program")
    tiles = fused.shape(columns, "cuda")
    options = {"num_warps": tiles.pop("num_warps"), "enable_fp_fusion": False}
    constants = {**CHOICES[name], **tiles}
    signature = {
        argument: "constexpr" if argument in constants else type_of(argument) for argument in program.arg_names
    }
    for argument, kind in signature.items():
        if kind == "*fp32":
            signature[argument] = f"*{boxes if argument in {'boxes', 'target_boxes', 'given'} else arithmetic}"
        elif kind == "*i64" and not argument.endswith("_out"):
            signature[argument] = f"*{integers}"
    source = ASTSource(fn=program, signature=signature, constexprs=constants)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)


def inspected(kernel, path, flag):
    path.write_bytes(kernel.asm["cubin"])
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    return subprocess.run([tool, flag, path], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("name", "columns"), [*product(CHOICES, [16, 64]), ("compare", 8), ("compare", 32), ("match", 8)]
)
def test_programs_stay_in_registers_and_wait_for_no_one(name, columns, tmp_path):
    kernel = compiled(name, columns)
    usage = inspected(kernel, tmp_path / "cubin", "-res-usage")
    registers, stack, local = (int(re.search(rf"{kind}:(\d+)", usage)[1]) for kind in ("REG", "STACK", "LOCAL"))
    assert registers <= REGISTERS.get(name, 80)
    assert stack == local == 0
    code = inspected(kernel, tmp_path / "cubin", "-sass")
    assert not re.search(r"\b(LDL|STL)\b", code), "registers are spilled"
    # Values that are given, and written, in tiles may change hands once.
    assert len(re.findall(r"\bBAR\.", code)) <= (1 if name in {"match, given", "pair_iou", "pair_iou, ciou"} else 0)


@pytest.mark.parametrize(
    "types", [("fp64", "fp64"), ("fp16", "fp32"), ("bf16", "fp32"), ("fp32", "fp32", "i32")], ids=" ".join
)
@pytest.mark.parametrize("name", ["compare", "match", "pair_iou, ciou"])
def test_programs_compile_for_other_numbers(name, types):
    assert compiled(name, 16, *types).asm["cubin"]


def test_divisions_are_rounded_to_the_nearest():
    assert "div.full" not in compiled("compare", 8).asm["ptx"]
    assert "div.rn.f32" in compiled("compare", 8).asm["ptx"]
    assert "fma.rn.f32" not in compiled("compare", 8).asm["ptx"]
