"""Names: unique among public rooms for the eye too, and a private room's name is nobody else's business."""

import pytest

from roomcast.core.text_folding import fold
from tests.api_clients import CREATE_ROOM, UserClient
from tests.rooms.documents import change, refusal, room_names

ALIKE = [
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


@pytest.mark.parametrize("other", ALIKE)
def test_names_that_look_alike_are_the_same(other: str) -> None:
    assert fold(other) == fold("general")


@pytest.mark.parametrize(
    ("one", "other"),
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
def test_names_that_differ_stay_apart(one: str, other: str) -> None:
    assert fold(one) != fold(other)


async def test_two_public_rooms_have_no_name_in_common(bob: UserClient, cleo: UserClient) -> None:
    await bob.create_room("general")
    for name in ALIKE[:4]:
        payload = await cleo.mutate(CREATE_ROOM, name=name)
        assert payload["errors"] == [{"code": "CONFLICT", "path": ["input", "name"]}]
    other = await cleo.create_room("other")
    assert await refusal(cleo, "updateRoom", roomId=other, name="Genera1") == "CONFLICT"


async def test_the_name_of_a_private_room_is_in_nobodys_way(bob: UserClient, cleo: UserClient) -> None:
    shut = await bob.create_room("plans", visibility="PRIVATE")
    await cleo.create_room("plans", visibility="PRIVATE")
    await cleo.create_room("plans")
    assert await room_names(cleo, membership="ALL", query="plan") == ["plans", "plans"]
    assert await refusal(bob, "updateRoom", roomId=shut, visibility="PUBLIC") == "CONFLICT"
    await change(bob, "updateRoom", roomId=shut, visibility="PUBLIC", name="old plans")
    assert await room_names(cleo, membership="DISCOVERABLE") == ["old plans"]


async def test_a_name_holds_emoji_that_this_python_has_not_heard_of(ann: UserClient) -> None:
    den = await ann.create_room("\U0001faff den")
    assert await refusal(ann, "updateRoom", roomId=den, name="\U000e0fff den") == "VALIDATION_FAILED"
