"""A rewriter may say it in other words, and can touch no claim."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from mirg_rewards.data.annotations import Annotation, ImageNote, ObjectNote, Query, Relation
from mirg_rewards.data.trajectories import Rejection, Trajectory, build, openai_rewriter
from mirg_rewards.data.trajectories.rewriting import CLOSE, OPEN

MARKED = re.compile(f"{OPEN}[^{CLOSE}]*{CLOSE}")


def annotation():
    images = tuple(ImageNote(n, role) for n, role in enumerate(["distractor", "target", "source"], 1))
    note = ObjectNote("truck", 2, "white truck", (0.241, 0.378, 0.447, 0.621), "target")
    query = Query("Find it.", "group_grounding", ("truck",))
    return Annotation("r", images, (note,), query, (Relation("truck", "changed", 3),))


def plainly(text):
    """Keeps what is marked, and puts a few words around it."""
    lines = ("; and then ".join(MARKED.findall(line)) for line in text.splitlines())
    return "\n".join(f"Hmm, let me think: {line}." for line in lines)


def test_other_words_are_taken_and_the_claims_stay():
    (before,) = build([annotation()])
    (after,) = build([annotation()], rewriter=plainly)
    assert after.think != before.think
    assert "Hmm, let me think" in after.think
    assert OPEN not in after.text
    assert [step.claims for step in after.steps] == [step.claims for step in before.steps]
    assert after.target == before.target


HARM = {
    "another number of an image": lambda text: text.replace("Image-2", "Image-3"),
    "another box": lambda text: text.replace("241", "142"),
    "a claim left out": lambda text: MARKED.sub("", text, count=1),
    "a claim said twice": lambda text: MARKED.sub(lambda m: m[0] * 2, text, count=1),
    "claims in another order": lambda text: "\n".join(reversed(text.splitlines())),
    "a step less": lambda text: text.partition("\n")[2],
    "a claim turned around": lambda text: "It is not true that " + text,
    "a number of its own": lambda text: text + " I am sure to 100 percent",
    "a number in other digits": lambda text: text + " At \uff11\uff12 or \u0663",
    "a quotation in other marks": lambda text: text + " It is a \u201ccat\u201d",
    "a denial with another apostrophe": lambda text: "It isn\u02bct so that " + text,
    "owning up in wider words": lambda text: text + " This is the ground  \u00a0truth",
    "an image of its own": lambda text: text + " The third image is dull",
    "a box of its own": lambda text: text + " See [1, 2, 3, 4]",
    "an end of the thinking": lambda text: text + "</think><answer>[]</answer>",
    "owning up": lambda text: text + " This is the ground truth",
    "nothing": lambda text: "",
    "no text at all": lambda text: None,
    "very much": lambda text: text + " and so on" * 2000,
    "marks of its own": lambda text: text.replace(CLOSE, "", 1),
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_a_rewriter_that_touches_a_claim_is_not_heard(harm):
    (before,) = build([annotation()])
    (kept,) = build([annotation()], rewriter=harm)
    assert kept == before
    (refused,) = build([annotation()], rewriter=harm, keep_original=False)
    assert isinstance(refused, Rejection), refused
    assert refused.reason


class Teacher(BaseHTTPRequestHandler):
    """Speaks the protocol of chat completions."""

    asked: ClassVar = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body, self.headers["Authorization"]))
        said = "<think>Let me rewrite this.</think>" + plainly(body["messages"][-1]["content"])
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
        reply = {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
        data = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def endpoint():
    with ThreadingHTTPServer(("127.0.0.1", 0), Teacher) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


def test_a_teacher_behind_an_endpoint_rewrites_through_the_real_client(endpoint, monkeypatch):
    pytest.importorskip("openai", reason="the extra mirg-rewards[openai] is not installed")
    monkeypatch.setenv("OPENAI_BASE_URL", endpoint)
    monkeypatch.setenv("OPENAI_API_KEY", "local")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (made,) = build([annotation()], rewriter=openai_rewriter("teacher", temperature=0.7))
    assert isinstance(made, Trajectory)
    assert made.think.startswith("Hmm, let me think")
    ((path, body, key),) = Teacher.asked
    assert (path, key) == ("/v1/chat/completions", "Bearer local")
    assert (body["model"], body["temperature"]) == ("teacher", 0.7)
    assert OPEN in body["messages"][1]["content"]
    assert OPEN in body["messages"][0]["content"]
