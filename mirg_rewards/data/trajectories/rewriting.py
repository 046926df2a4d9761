"""Rephrase the reasoning by any callable, with the claims protected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mirg_rewards.claims import Span
from mirg_rewards.data.trajectories.steps import Rule, RuleError, Step

Rewriter = Callable[[str], str]
"""Takes a reasoning, a step a line, with every claim between ⟪ and ⟫, and gives it back in other words."""

OPEN, CLOSE = "⟪", "⟫"

INSTRUCTION = f"""Rewrite the reasoning below so that it reads like a person's own thoughts.
Keep every passage between {OPEN} and {CLOSE} exactly as it is, marks and all, in its order and on its line.
Change only the words around them. Keep the number of lines. Name no image, number, place or label of your own.
Deny nothing. Write the reasoning and nothing else."""


def rewritten(steps: Sequence[Step], spans: Sequence[Sequence[Span]], rewriter: Rewriter) -> list[Step]:
    """Rephrase the steps. Raises RuleError if a step is lost or text between the marks has changed."""
    marked = [_marked(step.text, places) for step, places in zip(steps, spans, strict=True)]
    said = rewriter("\n".join(marked))
    lines = [line.strip() for line in said.strip().splitlines() if line.strip()] if isinstance(said, str) else []
    if len(lines) != len(steps):
        raise RuleError(Rule.CLAIMS, f"the rewriter gave {len(lines)} lines for {len(steps)} steps")
    for before, after in zip(marked, lines, strict=True):
        if _between_marks(before) != _between_marks(after):
            raise RuleError(Rule.CLAIMS, f"the rewriter changed a claim: {after!r}")
    return [
        Step(step.kind, line.replace(OPEN, "").replace(CLOSE, ""), step.claims)
        for step, line in zip(steps, lines, strict=True)
    ]


def openai_rewriter(model: str, *, instruction: str = INSTRUCTION, client: Any = None, **sampling: Any) -> Rewriter:
    """Build a rewriter on an OpenAI-compatible endpoint, such as vLLM's; needs `mirg-rewards[openai]`.

    `client` is an `openai.OpenAI`; without one it is made of OPENAI_BASE_URL and OPENAI_API_KEY. `sampling` goes to
    `chat.completions.create`: temperature, max_tokens, seed. What the model thought before it answered is left out.
    """
    if client is None:
        try:
            import openai
        except ImportError:
            raise ImportError(
                'a rewriter behind an endpoint needs openai: pip install "mirg-rewards[openai]"'
            ) from None
        client = openai.OpenAI()

    def rewrite(text: str) -> str:
        messages = [{"role": "system", "content": instruction}, {"role": "user", "content": text}]
        reply = client.chat.completions.create(model=model, messages=messages, **sampling)
        said: str = (reply.choices[0].message.content if reply.choices else None) or ""
        return said.rpartition("</think>")[2]

    return rewrite


def _marked(text: str, spans: Sequence[Span]) -> str:
    for begin, end in reversed(spans):
        text = f"{text[:begin]}{OPEN}{text[begin:end]}{CLOSE}{text[end:]}"
    return text


def _between_marks(text: str) -> list[str]:
    return [piece.partition(CLOSE)[0] for piece in text.split(OPEN)[1:]]
