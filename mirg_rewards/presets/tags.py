"""Tags as models write them, made as code looks for them."""

from __future__ import annotations

import re

_BLANKS = re.compile(r"(?<!\s)\s++(?=[<>/])|(?<=[<>/])\s++")


def tight(text: str) -> str:
    """`text` without the blanks on either side of `<`, `>` and `/`, which some models put into tags.

    >>> tight("< think > a / b < / think >")
    '<think>a/b</think>'
    """
    return _BLANKS.sub("", text)
