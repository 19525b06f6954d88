"""Fixtures for tests with long faults: access tokens that do not expire meanwhile, and no rate limits."""

import pytest
import pytest_asyncio

from tests.conftest import MakeApp
from tests.running_app import RunningApp


@pytest_asyncio.fixture
async def app(make_app: MakeApp, request: pytest.FixtureRequest) -> RunningApp:
    if request.node.get_closest_marker("chaos") is None:
        return await make_app()
    return await make_app(access_token_seconds=86_400, rate_limits="off")
