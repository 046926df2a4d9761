"""`mirg-rewards serve`: the reward server."""

from __future__ import annotations

import argparse

from mirg_rewards.cli.options import add_grammar_options, add_preset_option, scorer_of, whole_number

SUMMARY = "serve rewards over HTTP"
DESCRIPTION = "Run a reward server for trainers that call over HTTP."
EXAMPLES = r"""examples:
  mirg-rewards serve --preset mirg_rl --grammar qwen3_json
  curl http://127.0.0.1:8000/score -d '{"rows": [
    {"completion": "[{\"image\": 2, \"bbox_2d\": [100, 200, 300, 400]}]",
     "target": {"claims": [{"image": 2, "box": [0.1, 0.2, 0.3, 0.4]}], "sizes": [null, null]}}]}'
  OpenRLHF: --reward.remote_url http://127.0.0.1:8000/openrlhf

GET /health and GET /metrics (for Prometheus) respond while rows are scored. SIGTERM and Ctrl-C finish open requests."""

MAX_ROWS = 16_384
MAX_BYTES = 64 * 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `mirg-rewards serve`."""
    parser.set_defaults(run=_run)
    add_grammar_options(parser)
    add_preset_option(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen at, without access control (default: %(default)s)"
    )
    parser.add_argument("--port", type=_port, default=8000, help="0: any free port (default: %(default)s)")
    parser.add_argument("--workers", type=whole_number, metavar="N", help="processes (default: one for each core)")
    parser.add_argument(
        "--max-rows", type=whole_number, default=MAX_ROWS, metavar="N", help="rows of a request (default: %(default)s)"
    )
    parser.add_argument(
        "--max-bytes",
        type=whole_number,
        default=MAX_BYTES,
        metavar="N",
        help="bytes of its body (default: %(default)s)",
    )


def _run(arguments: argparse.Namespace) -> None:
    import sys

    from mirg_rewards.server import Limits, serve

    serve(
        scorer_of(arguments),
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
