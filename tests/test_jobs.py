"""Long work in shards: any number of processes, any interruption, one result."""

import errno
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mirg_rewards import Box, Claim, Target, presets
from mirg_rewards.data import jobs
from mirg_rewards.data.jobs import run_in_shards
from mirg_rewards.data.rows import CHUNK
from mirg_rewards.scoring import score_file

TARGET = Target((Claim(2, Box(0.25, 0.0, 0.5, 1.0)),), ((640, 480), (800, 600)))
RIGHT = '<think>so</think><answer>[{"image": 2, "bbox_2d": [250, 0, 500, 1000]}]</answer>'
SCORE = """
import sys
from pathlib import Path
from mirg_rewards import presets
from mirg_rewards.scoring import score_file
if __name__ == "__main__":
    score_file(sys.argv[1], sys.argv[2], presets.mirg_rl(), workers=int(sys.argv[3]))
"""


def rollouts(path, count):
    texts = [RIGHT, RIGHT.replace("500", "600"), "no idea", RIGHT.replace("2,", "1,")]
    with path.open("w") as file:
        for number in range(count):
            row = {"id": number, "completion": texts[number % 7 % 4], "target": TARGET.to_json()}
            file.write(json.dumps(row) + "\n")
    return path


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    source = rollouts(folder / "in.jsonl", 5 * CHUNK + 7)
    score_file(source, folder / "whole.jsonl", presets.mirg_rl(), workers=1)
    return source, folder / "whole.jsonl"


def test_a_line_stays_as_it_was_but_for_the_new_columns(tmp_path):
    line = f'{{ "completion":{json.dumps(RIGHT)} ,"target": {TARGET.to_json()}, "id": 1.50 }}'
    (tmp_path / "in.jsonl").write_text(f"\n  {line}\n\n")
    score_file(tmp_path / "in.jsonl", tmp_path / "out.jsonl", presets.mirg_rl())
    written = (tmp_path / "out.jsonl").read_text()
    assert written.startswith(line.removesuffix(" }") + ', "reward": 1.0')
    assert json.loads(written)["reward"] == 1


@pytest.mark.slow
def test_several_processes_write_what_one_does(many, tmp_path):
    source, whole = many
    seen = []
    scored = score_file(source, tmp_path / "out.jsonl", presets.mirg_rl(), workers=2, progress=seen.append)
    assert scored.rows == 5 * CHUNK + 7
    assert (tmp_path / "out.jsonl").read_bytes() == whole.read_bytes()
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_killed_goes_on_and_writes_the_same(many, tmp_path, workers):
    source, whole = many
    script = tmp_path / "score.py"
    script.write_text(SCORE)
    out = tmp_path / "out.jsonl"
    process = subprocess.Popen([sys.executable, str(script), str(source), str(out), str(workers)])
    shards = tmp_path / ".out.jsonl.shards"
    while process.poll() is None and not list(shards.glob("*[0-9].jsonl")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path.name: path.stat().st_mtime_ns for path in shards.glob("*[0-9].jsonl")}
    assert done, "it ended before it was killed"
    score_file(source, out, presets.mirg_rl(), workers=workers)
    assert out.read_bytes() == whole.read_bytes()
    assert not shards.exists()


@pytest.mark.slow
def test_workers_end_with_their_parent(many, tmp_path):
    script = tmp_path / "score.py"
    script.write_text(SCORE)
    process = subprocess.Popen(
        [sys.executable, str(script), str(many[0]), str(tmp_path / "out.jsonl"), "2"], start_new_session=True
    )
    while process.poll() is None and not list(tmp_path.glob(".out.jsonl.shards/*[0-9].jsonl")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 30
    while members(process.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert members(process.pid) == []


def members(session):
    """The processes of a session that are there still."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def write_numbers(chunk, part):
    part.write_text("".join(f'{{"n": {number}}}\n' for number in chunk.numbers))
    return {"rows": len(chunk.numbers)}


def fail_late(chunk, part):
    if chunk.numbers[0] > CHUNK:
        raise ValueError(f"line {chunk.numbers[0]} is odd")
    return write_numbers(chunk, part)


def interrupt_late(chunk, part):
    if chunk.numbers[0] > CHUNK:
        raise KeyboardInterrupt
    return write_numbers(chunk, part)


def numbered(path, count=3 * CHUNK):
    path.write_text('{"a": 1}\n' * count)
    return path


def test_an_error_leaves_nothing(tmp_path):
    source, output = numbered(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    with pytest.raises(ValueError, match=f"line {CHUNK + 1} is odd"):
        run_in_shards(source, output, fail_late, settings="")
    assert list(tmp_path.iterdir()) == [source]


def test_an_interruption_keeps_what_is_done(tmp_path):
    source, output = numbered(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt, match="the same command goes on from here"):
        run_in_shards(source, output, interrupt_late, settings="")
    assert not output.exists()
    part = tmp_path / ".out.jsonl.shards" / "000000.jsonl"
    # A part that is there is taken as it is.
    part.write_text('{"n": 0}\n')
    assert [summary["rows"] for summary in run_in_shards(source, output, write_numbers, settings="")] == [CHUNK] * 3
    assert output.read_text().startswith(f'{{"n": 0}}\n{{"n": {CHUNK + 1}}}\n')


def fill_disk_late(chunk, part):
    if chunk.numbers[0] > CHUNK:
        raise OSError(errno.ENOSPC, "No space left on device")
    return write_numbers(chunk, part)


def test_a_full_disk_keeps_what_is_done(tmp_path):
    source, output = numbered(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    with pytest.raises(OSError, match="No space left on device; the same command goes on from here"):
        run_in_shards(source, output, fill_disk_late, settings="")
    assert (tmp_path / ".out.jsonl.shards" / "000000.jsonl").exists()
    assert [summary["rows"] for summary in run_in_shards(source, output, write_numbers, settings="")] == [CHUNK] * 3
    with pytest.raises(FileNotFoundError):
        run_in_shards(tmp_path / "none.jsonl", tmp_path / "other.jsonl", write_numbers, settings="")
    assert sorted(tmp_path.iterdir()) == [source, output]


def test_parts_of_another_reward_are_not_taken_for_ones_own(tmp_path, monkeypatch):
    source, output = rollouts(tmp_path / "in.jsonl", 3), tmp_path / "out.jsonl"

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "join", stop)
        with pytest.raises(KeyboardInterrupt):
            score_file(source, output, presets.vlm_r1_od_ap())
    with pytest.raises(ValueError, match="unfinished job with other settings"):
        score_file(source, output, presets.vlm_r1_od_ap50())  # of the same names and weights
    score_file(source, output, presets.vlm_r1_od_ap())


def test_parts_of_another_job_are_not_taken_for_ones_own(tmp_path):
    source, output = numbered(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run_in_shards(source, output, interrupt_late, settings="one")
    with pytest.raises(ValueError, match="unfinished job with other settings, or of another input"):
        run_in_shards(source, output, write_numbers, settings="two")
    numbered(source, 5)
    with pytest.raises(ValueError, match="finish that one, or delete the folder"):
        run_in_shards(source, output, write_numbers, settings="one")


def test_workers_are_at_least_one(tmp_path):
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        run_in_shards(numbered(tmp_path / "in.jsonl"), tmp_path / "out.jsonl", write_numbers, settings="", workers=0)
