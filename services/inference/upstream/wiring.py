"""An upstream engine as the configuration wants it."""

import hashlib
from functools import partial

from services.inference.config import Config
from services.inference.model_tokenizer import ModelTokenizer
from services.inference.tokenizer_files import load_tokenizer
from services.inference.upstream.connection import Connection, Deadlines
from services.inference.upstream.engine import Named, UpstreamEngine
from services.inference.upstream.places import Places
from services.inference.upstream.watch import Watch
from services.inference.weights import locate_tokenizer


def make(config: Config) -> UpstreamEngine:
    deadlines = Deadlines(
        config.upstream_connect_seconds,
        config.upstream_answer_seconds,
        config.upstream_first_token_seconds,
        config.upstream_next_token_seconds,
    )
    key = config.upstream_api_key.get_secret_value()
    connection = Connection(config.upstream_url, key, deadlines, streams=config.slots)
    model = config.upstream_model
    dialect = None if config.upstream_dialect == "auto" else config.upstream_dialect
    watch = Watch(connection, model, dialect, config.upstream_context_length)
    # Every replica of the service has this secret, and nobody else.
    salt = hashlib.sha256(f"upstream cache {config.service_secret.get_secret_value()}".encode()).digest()
    named = Named(model, model.rpartition("/")[2], salt)
    return UpstreamEngine(named, connection, watch, Places(config.slots, config.waiting), partial(_tokenizer, config))


def _tokenizer(config: Config) -> ModelTokenizer:
    source = config.upstream_tokenizer or config.upstream_model
    return load_tokenizer(locate_tokenizer(source, config.cache.expanduser()))
