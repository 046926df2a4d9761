"""The code of texts: what numbers are worth, and where each of its bytes stands in the text."""

import math

import pytest
from corpus import HOSTILE
from hypothesis import example, given
from hypothesis import strategies as st

from mirg_rewards.parsing.lexer import JSON_STRINGS, NUMBER, PYTHON_STRINGS, STRING, fold, lex, with_strings

FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")

digits = st.text("0123456789", min_size=1, max_size=20)
numbers = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.builds(
        "".join,
        st.tuples(
            st.sampled_from(["", "", "-", "+"]),
            digits,
            st.just("") | digits.map(".{}".format) | st.just("."),
        ),
    ),
    st.builds("{}.{}".format, st.sampled_from(["", "-", "+"]), digits),
    st.builds("{}{}{}".format, digits, st.sampled_from(["e", "E", "e+", "e-", ".5e"]), st.integers(0, 400)),
)
in_scripts = st.builds(str.translate, numbers, st.sampled_from([{}, {}, FULL_WIDTH, ARABIC]))
pieces = st.lists(
    st.text(max_size=8)
    | st.sampled_from(HOSTILE)
    | in_scripts
    | st.sampled_from([" ", "\n", "\t", '"', ", ", "[", "]"]),
    max_size=20,
).map("".join)


def number_texts(code, text, row=0):
    start, end = code.row(row)
    return [text[code.starts[at] : code.stops[at]] for at in range(start, end) if code.text[at : at + 1] == NUMBER]


@given(
    row=st.lists(in_scripts, min_size=1, max_size=8),
    separator=st.sampled_from([",", ", ", " , ", " ", "\n"]),
    brackets=st.sampled_from(["[]", "()", "{}"]),
    start=st.integers(0, 50),
)
@example(
    row=["9" * 16, "0.1234567890123456", "9007199254740993", "1e22", "1e23"], separator=",", brackets="[]", start=0
)
@example(row=["9" * 5000, "007", "-0", "+.5", "5."], separator=",", brackets="[]", start=7)
def test_numbers_are_worth_what_is_written(row, separator, brackets, start):
    text = brackets[0] + separator.join(row) + brackets[1]
    code = lex([fold(text)], [start], [text])
    # Where the number ends in a point, and what follows is no sign, the point may belong to the sentence.
    row = [
        number.rstrip(".") if separator in (" ", "\n", " , ") and number is not row[-1] else number for number in row
    ]
    assert code.values.tolist() == [float(fold(number)) for number in row]
    assert number_texts(code, " " * start + text) == row


@given(row=st.lists(numbers, min_size=1, max_size=4))
def test_a_number_is_odd_where_json_has_none_like_it(row):
    import json

    def is_json(number):
        try:
            json.loads(number)
        except ValueError:
            return False
        return True

    text = f"[{', '.join(row)}]"
    assert lex([text], [0]).is_odd.tolist() == [not is_json(number) for number in row]


@given(parts=st.lists(pieces, min_size=1, max_size=6), starts=st.data())
@example(parts=["1", "2", "-3", ".5", "e5", "<loc_", "1>"], starts=None)
@example(parts=["", "", "\0", "\x02"], starts=None)
def test_offsets_give_the_text_back(parts, starts):
    texts = parts
    first = (
        [0] * len(parts)
        if starts is None
        else starts.draw(st.lists(st.integers(0, 9), min_size=len(parts), max_size=len(parts)))
    )
    code = lex(list(map(fold, parts)), first, texts)
    assert len(code.ends) == len(parts)
    assert code.text.count(b"\0") == len(parts)
    for row, text in enumerate(texts):
        start, end = code.row(row)
        at = 0
        for place in range(start, end):
            begin, stop = int(code.starts[place]) - first[row], int(code.stops[place]) - first[row]
            assert at <= begin < stop <= len(text)
            # Nothing but blanks is left out.
            assert not fold(text[at:begin]).strip(" \t\n\r\v\f\x1c\x1d\x1e\x1f")
            written = fold(text[begin:stop])
            if code.text[place : place + 1] == NUMBER:
                value = float(code.values[code.number_at[place]])
                assert math.isnan(value) or value == float(written)
            elif written.isspace():
                assert code.text[place] in b" \n\x7f"
            else:
                assert code.text[place] == (ord(written) if 8 < ord(written) < 128 else 127)
            at = stop
        assert not fold(text[at:]).strip(" \t\n\r\v\f\x1c\x1d\x1e\x1f")


@given(parts=st.lists(pieces, min_size=1, max_size=4), where=st.integers(0, 3))
def test_the_code_of_a_row_is_that_of_its_text_alone(parts, where):
    where %= len(parts)
    together, alone = (
        lex(list(map(fold, parts)), [0] * len(parts), parts),
        lex([fold(parts[where])], [0], [parts[where]]),
    )
    start, end = together.row(where)
    assert together.text[start:end] == alone.text[:-1]
    assert together.starts[start:end].tolist() == alone.starts[:-1].tolist()
    assert together.stops[start:end].tolist() == alone.stops[:-1].tolist()
    numbers_from, numbers_to = together.number_at[start], together.number_at[end]
    for column, expected in ((together.values, alone.values), (together.is_odd, alone.is_odd)):
        assert column[numbers_from:numbers_to].tolist() == expected.tolist()


@pytest.mark.parametrize("strings", [JSON_STRINGS, PYTHON_STRINGS], ids=["json", "python"])
@given(parts=st.lists(pieces | st.just('{"a": "b [1] c", "d": ["e", 2]}'), min_size=1, max_size=4))
def test_strings_are_the_characters_between_their_quotes(strings, parts):
    folded = list(map(fold, parts))
    code = with_strings(lex(folded, [0] * len(parts)), strings)
    assert len(code.text) == len(code.starts) == len(code.stops) == len(code.number_at)
    for row, text in enumerate(folded):
        for place in range(*code.row(row)):
            if code.text[place : place + 1] == STRING:
                start, end = code.strings[code.string_at[place]].tolist()
                assert (start, end) == (code.starts[place], code.stops[place])
                assert text[start] == text[end - 1] in "\"'"
