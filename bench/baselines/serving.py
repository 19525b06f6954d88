"""Serves a baseline on uvicorn with the options that roomcast uses."""

import os
from typing import Any

import uvicorn

from roomcast.server.websocket_protocol import SERVER_OPTIONS


def serve(app: Any) -> None:
    uvicorn.run(
        app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", access_log=False, **SERVER_OPTIONS
    )
