"""The release of text: whole characters, no stop string, and the same bytes however the tokens are cut."""

import codecs
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.inference.engine import FinishReason
from services.inference.reply import Reply
from tests.inference.generations import parameters

END = 0
VOCABULARY = [
    b"",
    *(bytes([byte]) for byte in range(256)),
    b"ab",
    b"a\xc3",
    b"\xb6b",
    "é東".encode(),
    b"\xf0\x9f",
    b"b\0",
]
LIKELY = [97 + 1, 98 + 1, 0xC3 + 1, 0xB6 + 1, *range(257, len(VOCABULARY))]

tokens = st.lists(st.one_of(st.sampled_from(LIKELY), st.integers(0, len(VOCABULARY) - 1)), max_size=30)
stops = st.lists(st.text("abö東é", min_size=1, max_size=4), max_size=4).map(tuple)


def reply_of(stop: tuple[str, ...] = (), limit: int = 1000) -> Reply:
    return Reply(VOCABULARY, {END}, parameters(stop=stop, tokens=limit))


def says(reply: Reply, *texts: bytes) -> str:
    """What a reply releases for the bytes of these texts, one token each."""
    return "".join(reply.extend([byte + 1]).text for text in texts for byte in text)


@given(tokens, st.lists(st.integers(0, 30)), stops, st.integers(1, 31))
def test_cut_anywhere_it_is_the_same(sequence: list[int], cuts: list[int], stop: tuple[str, ...], limit: int) -> None:
    whole = reply_of(stop, limit)
    delta = whole.extend(sequence)
    parts = reply_of(stop, limit)
    borders = [0, *sorted(cuts), len(sequence)]
    deltas = [parts.extend(sequence[begin:end]) for begin, end in pairwise(borders)]
    assert "".join(each.text for each in deltas) == delta.text
    assert (parts.tokens, parts.text_bytes, parts.finish_reason) == (
        whole.tokens,
        whole.text_bytes,
        whole.finish_reason,
    )
    assert [each.text_offset for each in deltas] == [
        len("".join(each.text for each in deltas[:place]).encode()) for place in range(len(deltas))
    ]


@given(tokens, stops)
def test_the_text_is_that_of_its_bytes_up_to_the_first_stop_string(sequence: list[int], stop: tuple[str, ...]) -> None:
    text = reply_of(stop).extend([*sequence, END]).text
    raw = b"".join(VOCABULARY[token] for token in sequence[: [*sequence, END].index(END)])
    whole = codecs.getincrementaldecoder("utf-8")("replace").decode(raw).replace("\0", "\ufffd")
    ends = [(whole.index(each) + len(each), whole.index(each)) for each in stop if each in whole]
    assert text == (whole[: min(ends)[1]] if ends else whole)


def test_a_character_comes_when_it_is_whole() -> None:
    reply = reply_of()
    assert [reply.extend([byte + 1]).text for byte in "a👋🏽".encode()] == ["a", "", "", "", "👋", "", "", "", "🏽"]


def test_what_is_no_utf8_is_replaced_and_nul_too() -> None:
    assert says(reply_of(), b"a\xffb\xc3(\0") == "a\ufffdb\ufffd(\ufffd"


def test_an_incomplete_character_at_the_end_is_left_out() -> None:
    reply = reply_of()
    assert says(reply, b"ab\xf0\x9f") == "ab"
    assert reply.extend([END]).text == ""
    assert reply.finish_reason is FinishReason.STOP


def test_a_possible_stop_string_is_held_back_and_then_let_go() -> None:
    reply = reply_of(("STOP",))
    assert says(reply, b"a STO") == "a "
    assert says(reply, b"RM") == "STORM"
    assert says(reply, b" ST") == " "
    assert reply.extend([END]).text == "ST"


def test_the_stop_string_that_is_complete_first_counts() -> None:
    assert says(reply_of(("long stop", "sto", "st")), b"a long stop") == "a long "
    assert says(reply_of(("top", "stop")), b"a stop") == "a "


def test_stop_strings_that_overlap_themselves() -> None:
    assert says(reply_of(("aab",)), b"aaaab") == "aa"
    assert says(reply_of(("abab!",)), b"ababab!") == "ab"


def test_the_bound_of_tokens_ends_it_and_lets_go_what_was_held() -> None:
    reply = reply_of(("xyz",), limit=3)
    assert says(reply, b"axy") == "axy"
    assert reply.finish_reason is FinishReason.LENGTH
    assert reply.extend([98]).token_ids == ()
