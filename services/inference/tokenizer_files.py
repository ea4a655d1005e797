"""A model's tokenizer and chat template from its files: as transformers reads them, without its seconds of import."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from services.inference.chat_template import Render
from services.inference.engine import ModelUnusableError
from services.inference.json_files import read_json
from services.inference.model_tokenizer import ModelTokenizer

_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""What a template may call by name."""


def load_tokenizer(folder: Path, vocabulary_size: int | None = None) -> ModelTokenizer:
    """`vocabulary_size` is the model's; without one, the tokenizer's. Raises ModelUnusableError."""
    path = folder / "tokenizer.json"
    try:
        backend = Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - it raises no other kind
        raise ModelUnusableError(f"{path} cannot be read: {error}") from None
    settings = read_json(folder / "tokenizer_config.json")
    special = {name: _content(settings[name]) for name in _SPECIAL if settings.get(name)}
    end_ids = _end_ids(folder, backend.token_to_id(special.get("eos_token", "")))
    if not end_ids:
        raise ModelUnusableError(
            f"{folder}: neither tokenizer_config.json nor generation_config.json names its end token."
        )
    template = _template(folder, settings)
    size = vocabulary_size or backend.get_vocab_size(with_added_tokens=True)
    try:
        return ModelTokenizer(backend, make_render(template, special) if template else None, end_ids, size)
    except (TemplateError, ModelUnusableError) as error:
        raise ModelUnusableError(f"{folder}: {error}") from None


def make_render(template: str, special: dict[str, str]) -> Render:
    """`special` are the special tokens by their names. Raises TemplateError.

    Templates come with models, from anywhere: they run in jinja's sandbox.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
    compiled = environment.from_string(template)

    def render(messages: list[dict[str, str]], opened: bool) -> str:
        return compiled.render(messages=messages, tools=None, documents=None, add_generation_prompt=opened, **special)

    return render


def _end_ids(folder: Path, end_of_sequence: int | None) -> set[int]:
    """The tokenizer's end token, and those that generation is configured to end at."""
    named = read_json(folder / "generation_config.json").get("eos_token_id")
    ids = named if isinstance(named, list) else [named]
    return {token for token in (*ids, end_of_sequence) if token is not None}


def _template(folder: Path, settings: dict[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.exists():
        return path.read_text()
    template = settings.get("chat_template")
    if isinstance(template, list):
        template = {each["name"]: each["template"] for each in template}.get("default")
    return template


def _content(token: str | dict[str, Any]) -> str:
    return token if isinstance(token, str) else str(token["content"])


class _Generation(Extension):
    """`{% generation %}` marks what a model is trained on, and writes nothing."""

    tags = {"generation"}  # noqa: RUF012 - jinja's

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(value: object, indent: int | None = None) -> str:
    """Unlike jinja's, it writes < and > as they are."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)
