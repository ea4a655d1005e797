"""Whatever is written in a message or a title, it stays where it was put."""

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from services.edge.export.markdown import fenced, inline

COMMONMARK = MarkdownIt("commonmark")
TEXTS = st.text(st.sampled_from("`~ \n\r\t>#-*_[]()<>!&\\$ax1é🎈\u2028")) | st.text()


@given(TEXTS)
@example("```\nout\n```")
@example("~~~")
@example("`" * 50)
@example("a\r```\rout")
@example("</pre><script>")
def test_a_fenced_text_is_one_block_with_all_of_the_text(text: str) -> None:
    document = f"before\n\n{fenced(text)}\nafter\n"
    # CommonMark's line ends, and its answer to NUL, are those of every reader.
    document = document.replace("\0", "\ufffd")
    tokens = COMMONMARK.parse(document)
    assert [token.type for token in tokens] == [
        *("paragraph_open", "inline", "paragraph_close"),
        "fence",
        *("paragraph_open", "inline", "paragraph_close"),
    ]
    as_read = f"{text}\n".replace("\0", "\ufffd").replace("\r\n", "\n").replace("\r", "\n")
    assert tokens[3].content == as_read
    assert tokens[5].content == "after"


@given(TEXTS)
@example("[link](https://evil.example)")
@example("![image](https://evil.example/pixel)")
@example("<img src=x onerror=alert(1)>")
@example("title\n# another")
@example("&lt;b&gt;")
@example("<https://evil.example>")
def test_a_title_is_a_line_of_text_and_nothing_else(text: str) -> None:
    tokens = COMMONMARK.parse(f"# A {inline(text)} title\n\n- [{inline(text) or 'x'}](file.md)\n")
    assert [token.type for token in tokens[:3]] == ["heading_open", "inline", "heading_close"]
    children = tokens[1].children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    words = "".join(child.content for child in children)
    assert words.split() == ["A", *text.replace("\0", "\ufffd").split(), "title"]
    [item] = [token for token in tokens[3:] if token.type == "inline"]
    links = [child.attrs["href"] for child in item.children or [] if child.type == "link_open"]
    assert links == ["file.md"]
