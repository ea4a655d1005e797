"""Conversations and settings between their records and their documents."""

from typing import Any

from services.metadata.mongodb.places import key_of, place_of
from services.metadata.store import Conversation, Owner, Settings, Theme

_CREATED_ONCE = ("_id", "tenant_id", "account_id", "created_as", "create_time")


def of_owner(owner: Owner) -> dict[str, Any]:
    return {"tenant_id": owner.tenant_id, "account_id": owner.account_id}


def to_document(conversation: Conversation) -> dict[str, Any]:
    return {
        "_id": conversation.conversation_id,
        **of_owner(conversation.owner),
        "place": place_of(conversation),
        "display_name": conversation.display_name,
        "folded_name": conversation.display_name.casefold(),
        "model": conversation.model,
        "system_prompt": conversation.system_prompt,
        "current_leaf_id": conversation.current_leaf_id,
        "pinned": conversation.pinned,
        "archived": conversation.archived,
        # Pairs, for a name may hold what no field's name may.
        "labels": [{"name": name, "value": value} for name, value in conversation.labels.items()],
        "etag": conversation.etag,
        "created_as": conversation.created_as,
        "create_time": conversation.create_time,
        "update_time": conversation.update_time,
    }


def to_change(document: dict[str, Any]) -> dict[str, Any]:
    """An update that leaves alone what was created once, and fields that a newer release may have added."""
    return {"$set": {name: value for name, value in document.items() if name not in _CREATED_ONCE}}


def to_conversation(document: dict[str, Any]) -> Conversation:
    return Conversation(
        owner=Owner(document["tenant_id"], document["account_id"]),
        conversation_id=document["_id"],
        display_name=document["display_name"],
        model=document["model"],
        system_prompt=document["system_prompt"],
        current_leaf_id=document["current_leaf_id"],
        pinned=document["pinned"],
        archived=document["archived"],
        labels={label["name"]: label["value"] for label in document["labels"]},
        etag=document["etag"],
        created_as=document["created_as"],
        create_time=document["create_time"],
        update_time=document["update_time"],
    )


def to_settings_document(settings: Settings) -> dict[str, Any]:
    return {
        "_id": key_of(settings.owner),
        **of_owner(settings.owner),
        "default_model": settings.default_model,
        "custom_instructions": settings.custom_instructions,
        "locale": settings.locale,
        "theme": settings.theme.value,
        "etag": settings.etag,
        "update_time": settings.update_time,
    }


def to_settings(document: dict[str, Any]) -> Settings:
    return Settings(
        owner=Owner(document["tenant_id"], document["account_id"]),
        default_model=document["default_model"],
        custom_instructions=document["custom_instructions"],
        locale=document["locale"],
        theme=Theme(document["theme"]),
        etag=document["etag"],
        update_time=document["update_time"],
    )
