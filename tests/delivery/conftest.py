"""What is delivered for long: nobody's access token ends in the middle of it."""

import pytest_asyncio

from tests.conftest import MakeHouse
from tests.house import House


@pytest_asyncio.fixture
async def house(make_house: MakeHouse) -> House:
    return await make_house(access_token_seconds=86_400)
