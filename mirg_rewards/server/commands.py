"""The command `mirg-rewards serve`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import Any

from mirg_rewards.presets import PRESETS
from mirg_rewards.report.commands import GrammarOf, whole_number
from mirg_rewards.server.application import Limits
from mirg_rewards.server.running import serve

_SERVE_EXAMPLES = """examples:
  mirg-rewards serve --preset mirg_rl --grammar qwen3_json
  curl -d '{"rows": [{"completion": "Image-2", "target": {"claims": [{"image": 2}], "sizes": [null, null]}}]}' \\
    http://127.0.0.1:8000/score
  OpenRLHF: --reward.remote_url http://127.0.0.1:8000/openrlhf

GET /health and GET /metrics (for Prometheus) answer while rows are scored. SIGTERM and Ctrl-C finish what is running."""


def add_serve(commands: Any, reading: argparse.ArgumentParser, grammar_of: GrammarOf) -> None:
    """Adds `mirg-rewards serve`; `reading` has the options that `grammar_of` makes a grammar of."""
    command = commands.add_parser(
        "serve",
        parents=[reading],
        help="answer requests for rewards over HTTP",
        description="A reward server for trainers that call over HTTP.",
        epilog=_SERVE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=lambda arguments: _serve(arguments, grammar_of))
    most = Limits()
    command.add_argument(
        "--preset", choices=PRESETS, default="mirg_rl", metavar="NAME", help="the reward (default: %(default)s)"
    )
    command.add_argument(
        "--host", default="127.0.0.1", help="to listen at; all who reach it may use it (default: %(default)s)"
    )
    command.add_argument("--port", type=_port, default=8000, help="0: any that is free (default: %(default)s)")
    command.add_argument("--workers", type=whole_number, metavar="N", help="processes (default: one for each core)")
    command.add_argument(
        "--max-rows", type=whole_number, default=most.rows, metavar="N", help="of a request (default: %(default)s)"
    )
    command.add_argument(
        "--max-bytes", type=whole_number, default=most.bytes, metavar="N", help="of its body (default: %(default)s)"
    )


def _serve(arguments: argparse.Namespace, grammar_of: GrammarOf) -> None:
    scorer = PRESETS[arguments.preset]()
    serve(
        replace(scorer, grammar=grammar_of(arguments, scorer.grammar)),
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        limits=Limits(arguments.max_rows, arguments.max_bytes),
        about=f"preset {arguments.preset}, grammar {arguments.grammar or 'of the preset'}",
        ready=lambda address: print(f"mirg-rewards: {arguments.preset} at {address}", file=sys.stderr, flush=True),
    )


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 65535, got {text!r}")
    return int(text)
