"""Rewards for training vision-language models to say which image, and where in it."""

__version__ = "0.1.0"
