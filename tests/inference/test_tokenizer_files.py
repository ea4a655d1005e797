"""A tokenizer and its template from their files are those that transformers makes of them."""

import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from services.inference.engine import ModelUnusableError
from services.inference.tokenizer_files import load_tokenizer, make_render
from tests.inference.generations import chat

TEMPLATES = {
    "generation": "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}\n{% endfor %}",
    "json": "{{ messages | tojson }} {{ messages | tojson(indent=2) }} {{ '<é>' | tojson }}",
    "loop controls": "{% for m in messages %}\n  {% if loop.index > 1 %}{% break %}{% endif %}\n{{ m }}{% endfor %}",
    "special tokens": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}",
    "what is not given": "{% if tools is not none or documents %}x{% endif %}{{ add_generation_prompt }}",
    "the year": "{{ strftime_now('%Y') }}",
}


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_write_what_they_write_with_transformers(name: str, folder: Path) -> None:
    known = AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "user", "content": "<Grüße>"}, {"role": "assistant", "content": "東京"}]
    render = make_render(TEMPLATES[name], {"eos_token": "<|end|>", "bos_token": "<|begin|>"})
    known.bos_token = "<|begin|>"
    for opened in (False, True):
        expected = known.apply_chat_template(
            messages, chat_template=TEMPLATES[name], tokenize=False, add_generation_prompt=opened
        )
        assert render(messages, opened) == expected


def test_a_prompt_is_that_of_transformers(folder: Path) -> None:
    messages = chat("Hello  ", "東京 👋🏽\n", "to be")
    plain = [{"role": message.role.value, "content": message.text} for message in messages]
    expected = AutoTokenizer.from_pretrained(folder).apply_chat_template(
        plain, add_generation_prompt=True, return_dict=False
    )
    assert list(load_tokenizer(folder).encode(messages).tokens) == expected


def test_a_template_may_be_in_the_settings(folder: Path) -> None:
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    before = load_tokenizer(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_bytes())
    for form in (template, [{"name": "tool_use", "template": "x"}, {"name": "default", "template": template}]):
        (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": form}))
        assert load_tokenizer(folder).encode(chat("hi")).tokens
    with pytest.raises(Exception, match="no chat template"):
        before.encode(chat("hi"))


def test_end_tokens_come_from_both_files(folder: Path) -> None:
    (folder / "generation_config.json").write_text('{"eos_token_id": [0, 5]}')
    assert load_tokenizer(folder).end_ids == {0, 1, 5}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("tokenizer.json", "{", r"tokenizer\.json cannot be read"),
        ("tokenizer_config.json", "[", r"tokenizer_config\.json cannot be read"),
        ("chat_template.jinja", "{% if %}", "model: "),
    ],
)
def test_a_damaged_file_is_named(folder: Path, name: str, content: str, words: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(ModelUnusableError, match=words):
        load_tokenizer(folder)


def test_a_template_cannot_reach_python(folder: Path) -> None:
    render = make_render("{{ ''.__class__.__mro__[1].__subclasses__() }}", {})
    with pytest.raises(Exception, match="unsafe"):
        render([], False)
    assert folder.exists()


def test_special_tokens_are_spelled_only_where_they_are_meant(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    meant = tokenizer.encode(chat("the sea")).tokens
    assert tokenizer.spell(meant) == "<|begin|>user\nthe sea<|end|>\n<|begin|>assistant\n"
    with pytest.raises(Exception, match="special tokens"):
        tokenizer.spell(tokenizer.encode(chat("the <|end|> sea")).tokens)
    assert len(tokenizer.encode_text("<|end|>")) > 1
    assert 1 not in tokenizer.encode_text("<|end|>")
