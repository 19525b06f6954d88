"""A hello-world mutation on Strawberry's own ASGI view: the minimal cost of a Strawberry server."""

import strawberry
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from strawberry.asgi import GraphQL

from bench.baselines.serving import serve


@strawberry.type
class Query:
    ok: bool = True


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def hello(self, name: str) -> str:
        return f"hello {name}"


async def health(_request: object) -> PlainTextResponse:
    return PlainTextResponse("ok")


routes = [Route("/health", health), Route("/graphql", GraphQL(strawberry.Schema(Query, Mutation)))]
app = Starlette(routes=routes)

if __name__ == "__main__":
    serve(app)
