"""Room names: public ones are unique, look-alikes included; private ones are not compared and never revealed."""

import pytest

from roomcast.core.text_folding import fold
from tests.api_clients import CREATE_ROOM, UserClient
from tests.rooms.documents import change, refusal, room_names

LOOK_ALIKES = [
    "GENERAL",
    "Gеneral",
    "genera1",
    "generaI",
    "géneral",
    "gene\u200dral",
    "ｇeneral",
    "  general ",
    "general\u3164",
]


@pytest.mark.parametrize("second", LOOK_ALIKES)
def test_look_alike_names_fold_to_the_same_key(second: str) -> None:
    assert fold(second) == fold("general")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("dev", "ops"),
        ("dev team", "devteam"),
        ("कि", "कु"),
        ("v2", "v4"),
        ("日本", "日木"),
        ("ハハ", "パパ"),
        ("ดู", "ดุ"),
    ],
)
def test_different_names_fold_to_different_keys(first: str, second: str) -> None:
    assert fold(first) != fold(second)


async def test_public_room_names_are_unique(bob: UserClient, cleo: UserClient) -> None:
    await bob.create_room("general")
    for name in LOOK_ALIKES[:4]:
        payload = await cleo.mutate(CREATE_ROOM, name=name)
        assert payload["errors"] == [{"code": "CONFLICT", "path": ["input", "name"]}]
    second = await cleo.create_room("second")
    assert await refusal(cleo, "updateRoom", roomId=second, name="Genera1") == "CONFLICT"


async def test_private_room_names_need_not_be_unique(bob: UserClient, cleo: UserClient) -> None:
    private_room = await bob.create_room("plans", visibility="PRIVATE")
    await cleo.create_room("plans", visibility="PRIVATE")
    await cleo.create_room("plans")
    assert await room_names(cleo, membership="ALL", query="plan") == ["plans", "plans"]
    assert await refusal(bob, "updateRoom", roomId=private_room, visibility="PUBLIC") == "CONFLICT"
    await change(bob, "updateRoom", roomId=private_room, visibility="PUBLIC", name="old plans")
    assert await room_names(cleo, membership="DISCOVERABLE") == ["old plans"]


async def test_a_name_may_contain_emoji_newer_than_this_python(ann: UserClient) -> None:
    room_id = await ann.create_room("\U0001faff den")
    assert await refusal(ann, "updateRoom", roomId=room_id, name="\U000e0fff den") == "VALIDATION_FAILED"
