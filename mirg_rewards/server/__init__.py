"""A reward server for trainers that call over HTTP: `serve(scorer)`, and `mirg-rewards serve`."""

from mirg_rewards.server.application import Limits, application
from mirg_rewards.server.run import serve

__all__ = ["Limits", "application", "serve"]
