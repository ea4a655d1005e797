"""Settings, through the door."""

import asyncio

from parley.metadata.v1 import metadata_service_pb2 as pb
from services.chassis.errors import Reason
from tests.metadata.person import Person, refusal


async def test_settings_begin_at_their_defaults(ann: Person) -> None:
    settings = await ann.settings()
    assert (settings.default_model, settings.custom_instructions, settings.locale) == ("", "", "")
    assert settings.theme == pb.THEME_SYSTEM
    assert not settings.HasField("update_time")
    assert settings.etag


async def test_settings_change_where_they_are_named(ann: Person, bob: Person) -> None:
    first = await ann.settings()
    wanted = pb.Settings(locale="de-CH", theme=pb.THEME_DARK, etag=first.etag)
    dark = await ann.update_settings(wanted, "theme", "locale")
    assert (dark.theme, dark.locale) == (pb.THEME_DARK, "de-CH")
    assert await ann.update_settings(wanted, "theme", "locale") == dark  # repeated
    brief = await ann.update_settings(pb.Settings(custom_instructions="Kürzer!"), "custom_instructions")
    assert (brief.theme, brief.custom_instructions) == (pb.THEME_DARK, "Kürzer!")
    assert brief.update_time.ToNanoseconds() > dark.update_time.ToNanoseconds()
    assert await ann.settings() == brief
    wanted.locale = "fr"
    assert (await refusal(ann.update_settings(wanted, "locale"))).reason is Reason.ETAG_MISMATCH
    plain = await ann.update_settings(pb.Settings(), "theme", "locale")
    assert (plain.theme, plain.locale) == (pb.THEME_SYSTEM, "")
    assert (await bob.settings()).locale == ""


async def test_settings_updated_at_once_all_count(ann: Person) -> None:
    await asyncio.gather(
        ann.update_settings(pb.Settings(locale="fr"), "locale"),
        ann.update_settings(pb.Settings(theme=pb.THEME_LIGHT), "theme"),
        ann.update_settings(pb.Settings(default_model="m"), "default_model"),
    )
    stored = await ann.settings()
    assert (stored.locale, stored.theme, stored.default_model) == ("fr", pb.THEME_LIGHT, "m")


async def test_deleted_settings_are_at_their_defaults(ann: Person, bob: Person) -> None:
    first = await ann.settings()
    for person in (ann, bob):
        await person.update_settings(pb.Settings(locale="fr"), "locale")
    assert [await ann.delete_settings() for _ in range(2)] == [True, False]
    assert await ann.settings() == first
    assert (await bob.settings()).locale == "fr"
