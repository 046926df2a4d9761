"""The OpenRLHF adapter through OpenRLHF's own executor, from a reward file and from a server."""

import asyncio
import logging
import threading
from pathlib import Path

import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Target, presets, render
from mirg_rewards.adapters import openrlhf as adapter

EXAMPLE = Path(__file__).parents[2] / "examples/openrlhf/reward.py"
TARGET = Target((Claim(2, Box(0.25, 0.25, 0.75, 0.75)),), ((56, 56), (28, 56)))
WIRE = TARGET.to_json()
RIGHT = render(TARGET.claims, GRAMMARS["qwen3_json"], TARGET.sizes)


def test_boxes_of_the_prompt_are_not_the_answer(openrlhf_rewards):
    prompt = f"<|im_start|>user\nAn example: {RIGHT}<|im_end|>\n<|im_start|>assistant\n"
    assert openrlhf_rewards([""], [WIRE], EXAMPLE, prompt)[0]["reward"] == 0.0


def test_rewards_scores_and_logs_are_numbers(openrlhf_rewards):
    found = openrlhf_rewards([RIGHT], [WIRE], EXAMPLE)[0]
    assert found["reward"] == found["scores"] == 1.0
    assert found["extra_logs"]["iou"] == found["extra_logs"]["image"] == 1.0
    assert all(type(value) is float for value in found["extra_logs"].values())


def test_what_openrlhf_swallows_is_in_the_log(openrlhf_rewards, caplog):
    with caplog.at_level(logging.ERROR):
        assert openrlhf_rewards([RIGHT], [None], EXAMPLE)[0]["reward"] is None
    assert "query 0, the column --data.label_key: there is no target; it takes Target.to_json()" in caplog.text


@pytest.fixture
def server():
    """The reward as a server on loopback, on a thread of its own."""
    web = pytest.importorskip(
        "aiohttp.web", reason="aiohttp, which OpenRLHF calls with, is not installed: make test-trainers"
    )
    reward = adapter.wrap(presets.mirg_rl(grammar=GRAMMARS["qwen3_json"]))

    async def handle(request):
        return web.json_response(reward.answer(await request.json()))

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start():
        application = web.Application()
        application.router.add_post("/reward", handle)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/reward"
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def test_a_server_answers_as_the_file_does(openrlhf_rewards, server):
    texts = [RIGHT, "no idea", ""]
    by_file, by_server = (openrlhf_rewards(texts, [WIRE] * 3, endpoint) for endpoint in (EXAMPLE, server))
    assert [row["reward"] for row in by_server] == [row["reward"] for row in by_file] == [1.0, 0.0, 0.0]
    assert [row["extra_logs"] for row in by_server] == [row["extra_logs"] for row in by_file]


def test_the_response_begins_where_the_prompt_ends():
    tail = "<|vision_end|>Find the dog.<|im_end|>\n<|im_start|>assistant\n"
    prompt = f"<|im_start|>user\n<|vision_start|><|image_pad|>{tail}"
    query = f"<|im_start|>user\n<|vision_start|>{'<|image_pad|>' * 99}{tail}"
    assert adapter.response_of(query + RIGHT, prompt) == RIGHT
    assert adapter.response_of(query + RIGHT + tail + "more", prompt) == RIGHT + tail + "more", "what the model repeats"
    with pytest.raises(ValueError, match="the end of the prompt is not in the query"):
        adapter.response_of("something else", prompt)


def test_several_queries_give_lists_and_a_bad_request_says_what_it_lacks():
    reward = adapter.wrap(presets.mirg_rl(grammar=GRAMMARS["qwen3_json"]))
    found = reward.answer({"query": ["p" + RIGHT, "p"], "prompts": ["p", "p"], "labels": [WIRE, WIRE]})
    assert found["rewards"] == [1.0, 0.0]
    assert found["extra_logs"]["iou"] == [1.0, 0.0]
    with pytest.raises(ValueError, match=r"needs query, prompts and labels.*\['labels'\] is not there"):
        reward.answer({"query": [], "prompts": []})
