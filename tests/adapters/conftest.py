"""What the tests of several trainers share: a tokenizer and a text model made on the spot, without a download."""

import pytest


@pytest.fixture(scope="session")
def byte_tokenizer():
    """Every byte is a token; the chat template writes roles between special tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|im_start|>", "<|im_end|>", "<|pad|>", "<|box_start|>", "<|box_end|>"]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    made.add_special_tokens({"eos_token": "<|im_end|>", "pad_token": "<|pad|>"})
    made.chat_template = (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    return made


@pytest.fixture(scope="session")
def text_model(byte_tokenizer):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=len(byte_tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        eos_token_id=byte_tokenizer.eos_token_id,
        pad_token_id=byte_tokenizer.pad_token_id,
    )
    return Qwen2ForCausalLM(config)


@pytest.fixture(scope="session")
def text_checkpoint(text_model, byte_tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("text_model")
    text_model.save_pretrained(folder)
    byte_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def verl_config(text_checkpoint):
    """As verl's own configuration has it, but for what concerns models."""
    omegaconf = pytest.importorskip("omegaconf", reason="verl is not installed: make test-trainers")

    def make(manager="naive", name="compute_score", **settings):
        return omegaconf.OmegaConf.create(
            {
                "reward": {
                    "num_workers": 2,
                    "custom_reward_function": {
                        "path": "pkg://mirg_rewards.adapters.verl",
                        "name": name,
                        "reward_kwargs": settings,
                    },
                    "reward_manager": {
                        "source": "register",
                        "name": manager,
                        "module": {"path": None, "name": "unused"},
                    },
                    "reward_model": {"enable": False},
                    "sandbox_fusion": {"url": None},
                },
                "trainer": {"experiment_name": "test"},
                "actor_rollout_ref": {"model": {"path": str(text_checkpoint), "tokenizer_path": None}},
            }
        )

    return make


@pytest.fixture(scope="session")
def verl_batch(byte_tokenizer):
    """Answers and the wire forms of their targets, as they lie in verl's batch after a rollout."""

    def make(texts, wires, infos=None):
        import numpy as np
        import torch
        from verl import DataProto

        ids = [byte_tokenizer(text)["input_ids"] for text in texts]
        length = max(1, *map(len, ids))
        responses = torch.full((len(ids), length), byte_tokenizer.pad_token_id)
        mask = torch.zeros(len(ids), 1 + length, dtype=torch.long)
        mask[:, 0] = 1
        for row, tokens in enumerate(ids):
            responses[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.long)
            mask[row, 1 : 1 + len(tokens)] = 1
        prompts = torch.ones(len(ids), 1, dtype=torch.long)
        columns = {
            "data_source": ["mirg"] * len(ids),
            "reward_model": [{"style": "rule", "ground_truth": wire} for wire in wires],
            "extra_info": infos or [{"index": row} for row in range(len(ids))],
        }
        return DataProto.from_dict(
            tensors={
                "prompts": prompts,
                "responses": responses,
                "attention_mask": mask,
                "input_ids": torch.cat([prompts, responses], 1),
            },
            non_tensors={
                name: np.fromiter(values, dtype=object, count=len(values)) for name, values in columns.items()
            },
        )

    return make


@pytest.fixture
def verl_rewards(verl_config, verl_batch, byte_tokenizer, monkeypatch):
    """What a reward manager of verl makes of answers: one mapping a row, as it goes to the trainer."""
    import asyncio

    def run(texts, wires, manager="naive", infos=None, **settings):
        from verl.trainer.ppo.reward import load_reward_manager, resolve_reward_manager_cls

        config, batch = verl_config(manager, **settings), verl_batch(texts, wires, infos)
        # Limits that it shares among all managers of a process are bound to one event loop.
        monkeypatch.setattr(resolve_reward_manager_cls(config), "_class_initialized", False)

        async def all_rows():
            loaded = load_reward_manager(config, byte_tokenizer)
            return await asyncio.gather(*(loaded.run_single(batch[row : row + 1]) for row in range(len(batch))))

        return asyncio.run(all_rows())

    return run


@pytest.fixture(scope="module")
def local_ray():
    import os

    ray = pytest.importorskip("ray", reason="verl is not installed: make test-trainers")
    names = ("PYTHONPATH", "HF_HUB_OFFLINE", "OMP_NUM_THREADS")
    variables = {name: os.environ[name] for name in names if name in os.environ}
    ray.init(
        num_cpus=3,
        include_dashboard=False,
        object_store_memory=200 * 2**20,
        log_to_driver=False,
        runtime_env={"env_vars": variables},
    )
    yield ray
    ray.shutdown()


@pytest.fixture
def load_file():
    """A module of the examples, loaded from its file as trainers do that have no import path."""
    import importlib.util
    import sys

    def load(path, name):
        spec = importlib.util.spec_from_file_location(name, path)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def openrlhf_rewards(byte_tokenizer):
    """What OpenRLHF's executor makes of answers, generated by an engine that says them word for word."""
    pytest.importorskip("openrlhf", reason="OpenRLHF is not installed: make test-trainers")
    import asyncio
    from types import SimpleNamespace

    from openrlhf.utils.agent import SingleTurnAgentExecutor

    def run(texts, labels, endpoint, prompt="<|im_start|>user\nFind it.<|im_end|>\n<|im_start|>assistant\n"):
        async def one(text, label):
            async def generate(*_, **__):
                ids = byte_tokenizer(text + "<|im_end|>")["input_ids"]
                return SimpleNamespace(outputs=[SimpleNamespace(token_ids=ids, finish_reason="stop", logprobs=None)])

            parameters = SimpleNamespace(max_tokens=None, logprobs=None)
            engine = SimpleNamespace(generate=generate)
            executor = SingleTurnAgentExecutor(str(endpoint))
            return await executor.execute(prompt, label, parameters, 100_000, byte_tokenizer, engine)

        async def every():
            return [await one(text, label) for text, label in zip(texts, labels, strict=True)]

        return asyncio.run(every())

    return run
