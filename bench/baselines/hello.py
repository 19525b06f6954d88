"""A hello-world Strawberry app on its own ASGI view: what starts at least."""

import strawberry
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from strawberry.asgi import GraphQL

from bench.baselines.serving import serve


@strawberry.type
class Query:
    ok: bool = True


async def health(_request: object) -> PlainTextResponse:
    return PlainTextResponse("ok")


routes = [Route("/health", health), Route("/graphql", GraphQL(strawberry.Schema(Query)))]
app = Starlette(routes=routes)

if __name__ == "__main__":
    serve(app)
