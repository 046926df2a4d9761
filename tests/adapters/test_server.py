"""The reward server as a process of its own, asked over loopback."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Point, Target, presets, render
from mirg_rewards.adapters.columns import measures
from mirg_rewards.cli import main
from mirg_rewards.server import handlers

for package in ("fastapi", "uvicorn", "prometheus_client"):
    pytest.importorskip(package, reason="the extra mirg-rewards[serve] is not installed")

COMMAND = [sys.executable, "-c", "from mirg_rewards.cli import main\nraise SystemExit(main())", "serve"]
GRAMMAR = GRAMMARS["qwen3_json"]
SCORER = presets.mirg_rl(grammar=GRAMMAR)
TARGET = Target((Claim(2, Box(0.25, 0.25, 0.75, 0.75)),), ((56, 56), (28, 56)))
WIRE = json.loads(TARGET.to_json())
RIGHT = render(TARGET.claims, GRAMMAR, TARGET.sizes)
ROW = {"completion": RIGHT, "target": WIRE}
MOST_ROWS, MOST_BYTES = 30_000, 40_000_000


def started(*options, command=(*COMMAND, "--port", "0", "--grammar", "qwen3_json")):
    """A server of the command line and its address; it takes any port that is free."""
    process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    found = re.search(r"http://\S+", line)
    assert found, line + process.stderr.read()
    return process, found[0]


@pytest.fixture(scope="module")
def server():
    limits = ["--max-rows", str(MOST_ROWS), "--max-bytes", str(MOST_BYTES)]
    process, address = started("--workers", "1", *limits)
    yield address
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def asked(address, path, body=None):
    """The status of an answer and its JSON."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    connection.request("GET" if data is None else "POST", path, data)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def metrics(address):
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
    connection.request("GET", "/metrics")
    response = connection.getresponse()
    assert response.headers["Content-Type"].startswith("text/plain")
    lines = response.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def test_a_batch_gets_the_numbers_of_the_scorer(server):
    texts = [RIGHT, RIGHT.replace("750", "600"), "no idea", ""]
    chat = [{"role": "assistant", "content": RIGHT}]
    rows = [{"completion": text, "target": WIRE} for text in texts] + [{"completion": chat, "target": TARGET.to_json()}]
    status, found = asked(server, "/score", {"rows": rows})
    scores = SCORER([*texts, chat], [TARGET] * 5)
    assert status == 200
    assert [row["reward"] for row in found["rows"]] == scores.total.tolist()
    for part, columns in (("terms", scores.terms), ("measures", measures(SCORER, scores))):
        for name, values in columns.items():
            assert [row[part][name] for row in found["rows"]] == values.tolist()
    assert found["rows"][0]["defects"] == []
    assert "NO_ANSWER" in found["rows"][2]["defects"]


def test_a_measure_that_cannot_be_taken_is_null(server):
    row = {"completion": RIGHT, "target": Target((Claim(2),), TARGET.sizes).to_json()}
    status, found = asked(server, "/score", {"rows": [row]})
    measured = found["rows"][0]["measures"]
    assert (status, measured["iou"], measured["acc"], measured["image_accuracy"]) == (200, None, None, 1.0)


def test_no_rows_get_none(server):
    assert asked(server, "/score", {"rows": []}) == (200, {"rows": []})


HOSTILE = [
    "[" * 200_000,
    "\ud83d half a pair",
    "\x00",
    '[{"image": 2, "bbox_2d": [NaN, 1e999, -1, 7]}]',
    "Ω 第二张图 🐕",
]


def test_what_a_model_wrote_is_never_an_error(server):
    status, found = asked(server, "/score", {"rows": [{"completion": text, "target": WIRE} for text in HOSTILE]})
    assert status == 200
    assert all(0 <= row["reward"] <= 1 for row in found["rows"])


BAD_ROWS = {
    "no target": ({"completion": RIGHT}, None, "there is no 'target'; the row has completion"),
    "null target": (ROW | {"target": None}, "target", "there is no target; it takes"),
    "another image": (
        ROW | {"target": {"claims": [{"image": 3}], "sizes": [None]}},
        "target",
        r"claims\[0\].image must be a number from 1 to 1",
    ),
    "pixels": (
        ROW | {"target": {"claims": [{"image": 1, "box": [1, 2, 30, 40]}], "sizes": [None]}},
        "target",
        "target_from_boxes turns pixels or thousandths into a Target",
    ),
    "no text": (ROW | {"completion": 5}, "completion", "must be text or a list of chat messages, got int"),
    "no messages": (ROW | {"completion": [1]}, "completion", "must be a string or a list of chat messages"),
    "no object": ([ROW], None, "must be an object with completion and target, got list"),
}


def test_a_row_that_the_reward_cannot_judge_is_a_bad_row():
    scorer = presets.gui_r1(grammar=GRAMMAR)
    point = Target((Claim(1, point=Point(0.5, 0.5)),), ((56, 56),)).to_json()
    unsized = point.replace("[56, 56]", "null")
    rows = [{"completion": "", "target": target} for target in (point, unsized)]
    labels = {"query": ["", ""], "prompts": ["", ""], "labels": [point, unsized]}
    for path, column, body in [("/score", "target", {"rows": rows}), ("/openrlhf", "labels", labels)]:
        status, found, *_ = handlers.handle(path, scorer, 10, json.dumps(body).encode())
        assert (status, json.loads(found)["row"], json.loads(found)["column"]) == (422, 1, column)
        assert "needs the size of image 1" in json.loads(found)["error"]


@pytest.mark.parametrize("mistake", BAD_ROWS)
def test_a_bad_row_is_named_with_its_column_and_the_fix(server, mistake):
    row, column, message = BAD_ROWS[mistake]
    status, found = asked(server, "/score", {"rows": [ROW, row, ROW]})
    assert (status, found["row"], found.get("column")) == (422, 1, column)
    assert re.match(f"row 1{f', column {column!r}' if column else ''}: .*{message}", found["error"])


BAD_BODIES = {
    "no JSON": (b"{", 400, "the body is not JSON"),
    "nothing": (b"", 400, "the body is not JSON"),
    "no text": (b"\xff\xfe\x00", 400, "the body is not JSON"),
    "too deep": (b"[" * 100_000, 400, "the body is not JSON"),
    "a list": ([ROW], 422, "must be a JSON object, got list"),
    "no rows": ({"row": [ROW]}, 422, "the body needs rows, a list each; 'rows' is none"),
    "too many rows": ({"rows": [0] * (MOST_ROWS + 1)}, 413, f"at most {MOST_ROWS} a request"),
    "too many bytes": (b" " * (MOST_BYTES + 1), 413, f"at most {MOST_BYTES} bytes"),
}


@pytest.mark.parametrize("mistake", BAD_BODIES)
def test_a_bad_body_is_told_what_is_wrong(server, mistake):
    body, status, message = BAD_BODIES[mistake]
    found = asked(server, "/score", body)
    assert found[0] == status
    assert message in found[1]["error"]


def test_a_body_without_a_length_is_bounded_too(server):
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as wire:
        wire.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(MOST_BYTES // 2**20 + 1):
            wire.sendall(b"100000\r\n" + b" " * 2**20 + b"\r\n")
        wire.sendall(b"0\r\n\r\n")
        assert wire.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_goes_away_is_counted_and_leaves_no_trace(server):
    name = 'mirg_rewards_requests_total{path="/score",status="400"}'
    before = metrics(server).get(name, 0)
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as wire:
        wire.sendall(b'POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"rows": [')
    until = time.monotonic() + 10
    while metrics(server).get(name, 0) == before and time.monotonic() < until:
        time.sleep(0.05)
    assert metrics(server)[name] == before + 1


@pytest.mark.parametrize(("path", "body", "status"), [("/", None, 404), ("/scores", {}, 404), ("/score", None, 405)])
def test_a_wrong_path_or_method_is_told_what_there_is(server, path, body, status):
    found = asked(server, path, body)
    assert found[0] == status
    assert "there are POST /score, POST /openrlhf, GET /health, GET /metrics" in found[1]["error"]


def test_bad_requests_do_not_disturb_others(server):
    good = {"rows": [ROW] * 20}
    bad = [body for body, _, _ in BAD_BODIES.values() if body is not BAD_BODIES["too many bytes"][0]]
    with ThreadPoolExecutor(8) as pool:
        mixed = [pool.submit(asked, server, "/score", body) for body in [good, *bad] * 4]
        found = [future.result() for future in mixed]
    for (status, answer), body in zip(found, [good, *bad] * 4, strict=True):
        assert (status == 200) == (body is good)
        if body is good:
            assert [row["reward"] for row in answer["rows"]] == [1.0] * 20


def test_health_answers_while_a_large_batch_is_scored(server):
    with ThreadPoolExecutor(1) as pool:
        large = pool.submit(asked, server, "/score", {"rows": [ROW] * MOST_ROWS})
        waits = []
        while not large.done():
            began = time.monotonic()
            status, found = asked(server, "/health")
            assert (status, found["status"]) == (200, "ok")
            waits.append(time.monotonic() - began)
        assert large.result()[0] == 200
    assert len(waits) > 3, "health answered again and again meanwhile"
    assert found["scorer"] == "preset mirg_rl, grammar qwen3_json"


def test_metrics_count_requests_rows_errors_seconds_and_defects(server):
    names = [
        'mirg_rewards_requests_total{path="/score",status="200"}',
        'mirg_rewards_requests_total{path="/score",status="422"}',
        'mirg_rewards_requests_total{path="other",status="404"}',
        'mirg_rewards_rows_total{path="/score"}',
        'mirg_rewards_request_seconds_count{path="/score"}',
        'mirg_rewards_request_seconds_bucket{le="+Inf",path="/score"}',
        'mirg_rewards_defects_total{defect="NO_ANSWER"}',
    ]
    before = metrics(server)
    asked(server, "/score", {"rows": [ROW, ROW | {"completion": "no idea"}, ROW]})
    asked(server, "/score", {"rows": [ROW | {"target": None}]})
    asked(server, "/no/such/path")
    after = metrics(server)
    assert [after[name] - before.get(name, 0) for name in names] == [1, 1, 1, 3, 1, 1, 1]
    assert after["mirg_rewards_requests_running"] == 0


def test_the_form_of_openrlhf_has_a_path(server):
    request = {"query": ["p" + RIGHT, "p"], "prompts": ["p", "p"], "labels": [WIRE, TARGET.to_json()]}
    status, found = asked(server, "/openrlhf", request)
    assert (status, found["rewards"], found["scores"]) == (200, [1.0, 0.0], [1.0, 0.0])
    assert found["extra_logs"]["iou"] == [1.0, 0.0]
    for change, status, message in (
        ({"labels": [WIRE, None]}, 422, "row 1, column 'labels': there is no target"),
        ({"labels": [WIRE]}, 422, "the lists must be of one length, got 2 query, 2 prompts, 1 labels"),
        ({"query": ["p", "q"]}, 422, "row 1, column 'query': the end of the prompt is not in the query"),
        ({"prompts": [1, "p"]}, 422, "row 0, column 'prompts': must be text, got int"),
        ({"labels": None}, 422, "the body needs query and prompts and labels, a list each; 'labels' is none"),
    ):
        found = asked(server, "/openrlhf", request | change)
        assert found[0] == status
        assert message in found[1]["error"]


def test_openrlhf_trains_on_the_numbers_of_the_scorer(openrlhf_rewards, server):
    texts = [RIGHT, "no idea", ""]
    found = openrlhf_rewards(texts, [TARGET.to_json()] * 3, f"{server}/openrlhf")
    assert [row["reward"] for row in found] == SCORER(texts, [TARGET] * 3).total.tolist()


def children(process):
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(child) for child in listed.split()]


def scoring(process):
    """The processes that score, which are those that hold torch."""
    return [child for child in children(process) if "torch" in Path(f"/proc/{child}/maps").read_text()]


@pytest.mark.slow
def test_a_process_that_dies_costs_no_request():
    process, address = started("--workers", "2")
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(asked, address, "/score", {"rows": [ROW] * 2000}) for _ in range(12)]
        time.sleep(0.2)
        os.kill(scoring(process)[0], signal.SIGKILL)
        assert [answer.result()[0] for answer in answers] == [200] * 12
    process.terminate()
    assert process.wait(30) == 0
    process.stderr.close()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_what_is_running(number):
    process, address = started("--workers", "1")
    with ThreadPoolExecutor(1) as pool:
        large = pool.submit(asked, address, "/score", {"rows": [ROW] * 16_000})
        while metrics(address)["mirg_rewards_requests_running"] == 0:
            time.sleep(0.01)
        process.send_signal(number)
        status, found = large.result()
    assert status == 200
    assert len(found["rows"]) == 16_000
    assert process.wait(30) == 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    with pytest.raises(ConnectionRefusedError):
        asked(address, "/health")


def test_it_listens_to_this_machine_alone_unless_told_otherwise(server):
    assert server.startswith("http://127.0.0.1:")
    port = int(server.rpartition(":")[2])
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    hosts = {fields[1].split(":")[0] for fields in listening if int(fields[1].split(":")[1], 16) == port}
    assert hosts == {"0100007F"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "70000"], "must be a number from 0 to 65535"),
        (["--max-rows", "0"], "must be a whole number from 1"),
        (["--host", "no.such.host.invalid"], "cannot listen at no.such.host.invalid:8000"),
    ],
)
def test_a_wrong_option_is_a_sentence_and_status_2(capsys, options, message):
    assert main(["serve", *options]) == 2
    assert message in capsys.readouterr().err


def test_a_port_that_is_taken_is_a_sentence_and_status_2(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
    assert re.search(rf"cannot listen at 127.0.0.1:{port}: Address already in use", capsys.readouterr().err)


def test_a_reward_that_does_not_pickle_is_refused_at_once():
    from mirg_rewards.scorer import Scorer
    from mirg_rewards.server import serve

    with pytest.raises(TypeError, match="scorer must pickle, since other processes score"):
        serve(Scorer(GRAMMAR, lambda answers, _: answers.claims.counts.float()), port=0)


OWN = """
import sys
from mirg_rewards import GRAMMARS, Scorer
from mirg_rewards.server import serve

def doubtful(answers, targets):
    return answers.claims.counts / answers.claims.counts.float()  # NaN where nothing is claimed

if __name__ == "__main__":
    scorer = Scorer(GRAMMARS["qwen3_json"], doubtful)
    serve(scorer, port=0, workers=1, ready=lambda address: print(address, file=sys.stderr, flush=True))
"""


@pytest.mark.slow
def test_a_reward_of_ones_own_is_served_and_its_failure_is_told(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    process, address = started(command=[sys.executable, str(tmp_path / "own.py")])
    status, found = asked(address, "/score", {"rows": [ROW, ROW | {"completion": "no idea"}]})
    assert status == 500
    assert found["error"].startswith("the reward could not be computed: row 1: the reward 'doubtful' is nan")
    assert asked(address, "/score", {"rows": [ROW]})[1]["rows"][0]["reward"] == 1.0
    assert metrics(address)['mirg_rewards_requests_total{path="/score",status="500"}'] == 1
    process.terminate()
    assert process.wait(30) == 0
    assert "check_reward finds where yours is not" in process.stderr.read(), "the log has it too"
    process.stderr.close()


def test_the_first_examples_of_the_help_and_the_page_earn_what_they_say(server, capsys):
    import shlex

    from mirg_rewards.cli import serve

    page = (Path(__file__).parents[2] / "docs/adapters/server.md").read_text()
    for text in (serve.EXAMPLES, page):
        command = re.search(r"curl .*?\}\]\}'", text, re.DOTALL)[0]
        _, address, _, body = shlex.split(command)
        status, found = asked(server, address.removeprefix("http://127.0.0.1:8000"), body.encode())
        assert (status, found["rows"][0]["reward"], found["rows"][0]["defects"]) == (200, 1.0, [])
    block = re.search(r"```python\n(import json.*?)```", page, re.DOTALL)[1]
    exec(compile(block.replace("http://127.0.0.1:8000", server), "server.md", "exec"), {})  # noqa: S102 - our own page
    assert capsys.readouterr().out == "[1.0]\n"
