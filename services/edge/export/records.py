"""What the JSON files of an archive hold. Names and values are those of the GraphQL schema."""

from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from parley.auth.v1 import account_service_pb2 as auth_pb
from parley.auth.v1.usage_service_pb2 import Usage
from parley.history.v1 import history_service_pb2 as history_pb
from parley.metadata.v1 import metadata_service_pb2 as metadata_pb
from services.chassis.times import to_datetime
from services.edge.schema.generation import FinishReason, Role
from services.edge.schema.message import MessageStatus

VERSION = 1
"""Of the archive's format: a field may be added under the same number, and none changes its meaning."""

Record = dict[str, object]


def account(account: auth_pb.Account, settings: metadata_pb.Settings, usage: Usage) -> Record:
    return {
        "id": account.account_id,
        "email": account.email,
        "displayName": account.display_name,
        "roles": list(account.roles),
        "createTime": _time(account.create_time),
        "settings": {
            "defaultModel": settings.default_model or None,
            "customInstructions": settings.custom_instructions or None,
            "locale": settings.locale or None,
            "theme": metadata_pb.Theme.Name(settings.theme).removeprefix("THEME_") if settings.theme else None,
        },
        "usage": {
            "usedTokens": usage.used_tokens,
            "reservedTokens": usage.reserved_tokens,
            "limitTokens": usage.limit_tokens if usage.HasField("limit_tokens") else None,
            "resetTime": _time(usage.reset_time),
        },
    }


def api_keys(keys: Sequence[auth_pb.ApiKey]) -> list[Record]:
    """Their names and times: nothing of the keys themselves, of which even a beginning helps to find out the rest."""
    return [
        {
            "displayName": key.display_name,
            "createTime": _time(key.create_time),
            "expireTime": _time(key.expire_time) if key.HasField("expire_time") else None,
        }
        for key in keys
    ]


def conversation(conversation: metadata_pb.Conversation) -> Record:
    return {
        "id": conversation.conversation_id,
        "displayName": conversation.display_name,
        "model": conversation.model,
        "systemPrompt": conversation.system_prompt or None,
        "createTime": _time(conversation.create_time),
        "updateTime": _time(conversation.update_time),
        "currentLeafId": conversation.current_leaf_id if conversation.HasField("current_leaf_id") else None,
        "pinned": conversation.pinned,
        "archived": conversation.archived,
        "labels": dict(conversation.labels),
    }


def message(message: history_pb.Message) -> Record:
    record: Record = {
        "id": message.message_id,
        "parentId": message.parent_id if message.HasField("parent_id") else None,
        "role": Role(message.role).name,
        "text": message.text,
        "status": MessageStatus(message.status).name,
        "createTime": _time(message.create_time),
    }
    if message.HasField("request"):
        record |= _request(message.request)
    if message.HasField("result"):
        record |= _result(message.result)
    return record


def _request(request: history_pb.ReplyRequest) -> Record:
    parameters = request.parameters
    return {
        "model": request.model,
        "parameters": {
            "temperature": parameters.temperature,
            "topP": parameters.top_p,
            "maxOutputTokens": parameters.max_output_tokens,
            "seed": parameters.seed,
            "stop": list(parameters.stop),
        },
        "systemPrompt": request.system_prompt or None,
        "contextStartId": request.context_start_id if request.HasField("context_start_id") else None,
    }


def _result(result: history_pb.ReplyResult) -> Record:
    return {
        "finishReason": FinishReason(result.finish_reason).name,
        "usage": {
            "promptTokens": result.usage.prompt_tokens,
            "completionTokens": result.usage.completion_tokens,
        },
        "failureReason": result.failure_reason or None,
        "completeTime": _time(result.complete_time),
    }


def _time(stamp: Timestamp) -> str:
    return to_datetime(stamp).isoformat()
