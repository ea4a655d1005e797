"""What a request must be before it reaches the store."""

import re
from collections.abc import Collection

from parley.metadata.v1 import metadata_service_pb2 as pb
from services.chassis.checks import Checks
from services.metadata.wire import CONVERSATION_FIELDS, SETTINGS_FIELDS, THEMES

MAX_PAGE = 100
MAX_NAME = 200
MAX_MODEL_BYTES = 256
MAX_PROMPT_BYTES = 32_768
MAX_LABELS = 16
MAX_LABEL = 64
MAX_INSTRUCTIONS_BYTES = 8_192
MAX_LOCALE_BYTES = 64
_BYTES_PER_CHARACTER = 4

_LOCALE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
"""The shape of a BCP 47 tag; whether its parts are registered is for whoever uses it."""


def check_create(request: pb.CreateConversationRequest) -> None:
    conversation = request.conversation
    with Checks() as check:
        if conversation.conversation_id:
            check.id("conversation.conversation_id", conversation.conversation_id)
        check.that("conversation.etag", not conversation.etag, "is set by the server")
        check.that("conversation.create_time", not conversation.HasField("create_time"), "is set by the server")
        check.that("conversation.update_time", not conversation.HasField("update_time"), "is set by the server")
        _check_content(check, conversation, CONVERSATION_FIELDS)


def check_id(conversation_id: str) -> None:
    with Checks() as check:
        check.id("conversation_id", conversation_id)


def check_list(request: pb.ListConversationsRequest) -> None:
    with Checks() as check:
        check.page_size("page_size", request.page_size, limit=MAX_PAGE)
        _check_characters(check, "filter.display_name_contains", request.filter.display_name_contains, MAX_NAME)


def check_update(request: pb.UpdateConversationRequest) -> None:
    with Checks() as check:
        check.id("conversation.conversation_id", request.conversation.conversation_id)
        _check_mask(check, request.update_mask.paths, CONVERSATION_FIELDS)
        _check_content(check, request.conversation, request.update_mask.paths)


def check_update_settings(request: pb.UpdateSettingsRequest) -> None:
    settings, mask = request.settings, request.update_mask.paths
    with Checks() as check:
        _check_mask(check, mask, SETTINGS_FIELDS)
        if "default_model" in mask:
            check.text("settings.default_model", settings.default_model, max_bytes=MAX_MODEL_BYTES)
        if "custom_instructions" in mask:
            check.text("settings.custom_instructions", settings.custom_instructions, max_bytes=MAX_INSTRUCTIONS_BYTES)
        if "locale" in mask and settings.locale:
            check.that("settings.locale", _LOCALE.fullmatch(settings.locale) is not None, "must be a BCP 47 tag")
            check.text("settings.locale", settings.locale, max_bytes=MAX_LOCALE_BYTES)
        if "theme" in mask:
            check.that("settings.theme", settings.theme in THEMES, "must be a theme")


def _check_mask(check: Checks, paths: Collection[str], known: Collection[str]) -> None:
    check.that("update_mask", len(paths) > 0, "must name a field")
    for path in paths:
        check.one_of("update_mask", path, known)


def _check_content(check: Checks, conversation: pb.Conversation, fields: Collection[str]) -> None:
    if "display_name" in fields:
        _check_characters(check, "conversation.display_name", conversation.display_name, MAX_NAME)
    if "model" in fields:
        check.text("conversation.model", conversation.model, min_bytes=1, max_bytes=MAX_MODEL_BYTES)
    if "system_prompt" in fields:
        check.text("conversation.system_prompt", conversation.system_prompt, max_bytes=MAX_PROMPT_BYTES)
    if "current_leaf_id" in fields and conversation.HasField("current_leaf_id"):
        check.id("conversation.current_leaf_id", conversation.current_leaf_id)
    if "labels" in fields:
        check.that("conversation.labels", len(conversation.labels) <= MAX_LABELS, f"must be {MAX_LABELS} at the most")
        for name, value in conversation.labels.items():
            check.that("conversation.labels", bool(name), "must have names")
            _check_characters(check, "conversation.labels", name, MAX_LABEL)
            _check_characters(check, "conversation.labels", value, MAX_LABEL)


def _check_characters(check: Checks, name: str, value: str, most: int) -> None:
    check.that(name, len(value) <= most, f"must have up to {most} characters, not {len(value)}")
    check.text(name, value, max_bytes=most * _BYTES_PER_CHARACTER)
