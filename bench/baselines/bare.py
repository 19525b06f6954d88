"""A bare ASGI broadcast without GraphQL and storage: the body of POST /publish is sent to every socket.

This is the minimal work of a Python server on uvicorn, and so the lower bound of what a delivery costs.
"""

from typing import Any

from bench.baselines.serving import serve

sockets: set[Any] = set()
GREETING = "x" * 330
"""The first message to sockets of the path /greeting, as long as an event of `bench.fanout`."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await listen(scope, receive, send)
    else:
        await publish(receive, send)


async def listen(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
    if scope["path"] == "/greeting":
        await send({"type": "websocket.send", "text": GREETING})
    sockets.add(send)
    try:
        while (await receive())["type"] != "websocket.disconnect":
            pass
    finally:
        sockets.discard(send)


async def publish(receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    text = body.decode()
    for push in list(sockets):
        await push({"type": "websocket.send", "text": text})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


if __name__ == "__main__":
    serve(app)
