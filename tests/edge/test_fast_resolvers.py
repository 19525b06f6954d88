"""Fast resolvers return the same results as Strawberry's own."""

from types import SimpleNamespace
from typing import Any

import strawberry
from graphql import GraphQLObjectType
from strawberry.extensions import FieldExtension

from roomcast.api.execution.fast_resolvers import install_fast_resolvers
from roomcast.api.schema import root

EVERYTHING = "{ thing { plain renamed method parent root infoOnly both later louder times(n: 3) failing } }"


class Louder(FieldExtension):
    def resolve(self, next_: Any, source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        return next_(source, info, **kwargs).upper()


@strawberry.type
class Thing:
    plain: str
    other: str = strawberry.field(name="renamed")

    @strawberry.field
    def method(self) -> str:
        return f"method of {self.plain}"

    @strawberry.field
    def parent(self, thing: strawberry.Parent["Thing"]) -> str:
        return f"parent {thing.plain}"

    @strawberry.field
    def root(root: "Thing") -> str:  # noqa: N805 (one of the names that Strawberry fills)
        return f"root {root.plain}"

    @strawberry.field
    def info_only(self, info: strawberry.Info) -> str:
        return f"{info.field_name} of {self.plain} for {info.context.name}"

    @strawberry.field
    def both(self, info: strawberry.Info, thing: strawberry.Parent["Thing"]) -> str:
        return f"{thing.plain}, {info.python_name}, {self.plain}"

    @strawberry.field
    async def later(self, info: strawberry.Info) -> str:
        return f"later {info.context.name}"

    @strawberry.field(extensions=[Louder()])  # type: ignore[untyped-decorator]
    def louder(self) -> str:
        return "loud"

    @strawberry.field
    def times(self, n: int) -> str:
        return self.plain * n

    @strawberry.field
    def failing(self) -> str | None:
        raise LookupError(self.plain)


@strawberry.type
class Query:
    @strawberry.field
    def thing(self) -> Thing:
        return Thing(plain="thing", other="other")


async def answered(*, straight: bool) -> tuple[Any, list[str]]:
    built = strawberry.Schema(Query)
    if straight:
        install_fast_resolvers(built._schema)
    result = await built.execute(EVERYTHING, context_value=SimpleNamespace(name="ann"))
    return result.data, [f"{error.path} {error.message}" for error in result.errors or ()]


async def test_fast_resolvers_return_the_same_results() -> None:
    through_strawberry = await answered(straight=False)

    assert await answered(straight=True) == through_strawberry
    assert through_strawberry[0]["thing"]["both"] == "thing, both, thing"
    assert through_strawberry[1] == ["['thing', 'failing'] thing"]


def test_every_field_without_arguments_has_a_fast_resolver() -> None:
    built = root.build_schema()._schema
    kinds = [kind for kind in built.type_map.values() if isinstance(kind, GraphQLObjectType)]

    without_fast_resolver = [
        f"{kind.name}.{name}"
        for kind in kinds
        if not kind.name.startswith("__") and kind is not built.subscription_type
        for name, field in kind.fields.items()
        if not field.args and "fast_resolvers" not in (field.resolve.__module__ if field.resolve else "")
    ]

    assert without_fast_resolver == []
