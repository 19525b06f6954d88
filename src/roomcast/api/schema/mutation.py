"""Declares mutations: each gets an input type and a payload type of its own, made from its resolver.

    @mutation
    async def archive_room(self, info: Info, room_id: RoomId) -> RoomResult: ...

is served as `archiveRoom(input: ArchiveRoomInput!): ArchiveRoomPayload!`. The input has the parameters after `info`,
the payload the fields of the result and `errors`. The docstring of the resolver is the mutation's description.

An input field that is left out gives the resolver the default of its parameter. What null does is part of its type:

- `Clearable[T] = UNCHANGED`: null clears the field. The resolver gets None.
- `Omittable[T] = None`: the field cannot be cleared. Null is VALIDATION_FAILED, so None always means "left out".
- `T | None = None`: "nothing" is a value of the field, e.g. of a new room's topic. Null is the same as left out.
- any other type: the field cannot be null. It is required if the parameter has no default.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from functools import reduce
from operator import or_
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Concatenate,
    NamedTuple,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import strawberry
from strawberry.types.arguments import StrawberryArgumentAnnotation
from strawberry.utils.str_converters import to_camel_case

from roomcast.api.context import Info
from roomcast.api.errors import MutationPayload, user_error
from roomcast.core.errors import Refused, ValidationFailed
from roomcast.core.unchanged import UNCHANGED, Unchanged

T = TypeVar("T")
Resolver: TypeAlias = Callable[Concatenate[Any, Info, ...], Awaitable[MutationPayload | None]]


class Null(Enum):
    REFUSED = "REFUSED"


Clearable: TypeAlias = T | None | Unchanged
Omittable: TypeAlias = Annotated[T | None, Null.REFUSED]


def describe(text: str) -> StrawberryArgumentAnnotation:
    """The description of an input field: `body: Annotated[str, describe("Markdown.")]`."""
    return strawberry.argument(description=text)


RoomId: TypeAlias = Annotated[strawberry.ID, describe("The room.")]
MessageId: TypeAlias = Annotated[strawberry.ID, describe("The message.")]
UserId: TypeAlias = Annotated[strawberry.ID, describe("The user.")]
Reason: TypeAlias = Annotated[
    str | None, describe("The reason, at most 500 characters. Administrators read it in the audit log.")
]


def mutation(resolver: Resolver | None = None, *, signed_out: bool = False, one_of: bool = False) -> Any:
    """Declare a mutation. What its resolver refuses becomes the `errors` of the payload.

    `signed_out`: it can be called without a session. `one_of`: the client gives exactly one field of the input.
    """
    if resolver is None:
        return lambda declared: mutation(declared, signed_out=signed_out, one_of=one_of)
    name, hints = resolver.__name__.title().replace("_", ""), get_type_hints(resolver, include_extras=True)
    _self, _info, *parameters = inspect.signature(resolver).parameters.values()
    fields = [_input_field(parameter, hints[parameter.name]) for parameter in parameters]
    payload = _payload_type(name, hints["return"])

    async def run(info: Info, given: object) -> Any:
        try:
            if not signed_out:
                _ = info.context.actor  # raises Unauthenticated, before anything else is refused
            result = await resolver(None, info, **_arguments(fields, given))
        except Refused as refused:
            info.context.refusal = refused.code
            return payload(errors=[user_error(refused)])
        return payload() if result is None else payload(**vars(result))

    async def with_input(info: Info, input: Any) -> Any:  # noqa: A002 (the name in the API)
        return await run(info, input)

    async def without_input(info: Info) -> Any:
        return await run(info, None)

    served = with_input if fields else without_input
    served.__annotations__["return"] = payload
    if fields:
        served.__annotations__["input"] = Annotated[
            _input_type(name, fields, one_of=one_of), describe(f"See `{name}Input`.")
        ]
    return strawberry.mutation(resolver=served, description=_description(resolver))


class InputField(NamedTuple):
    name: str
    type: Any
    default: Any
    """UNSET for every nullable field, which tells null from a field that is left out."""
    description: str | None
    refuses_null: bool


def _input_field(parameter: inspect.Parameter, hint: Any) -> InputField:
    """The field of a parameter. Raises TypeError if its default does not fit its type."""
    type_, *metadata = get_args(hint) if get_origin(hint) is Annotated else [hint]
    description = next((each.description for each in metadata if isinstance(each, StrawberryArgumentAnnotation)), None)
    members = get_args(type_) if get_origin(type_) in (Union, UnionType) else ()
    if NoneType not in members:
        default = strawberry.UNSET if parameter.default is parameter.empty else parameter.default
        return InputField(parameter.name, type_, default, description, refuses_null=False)
    if parameter.default is not (UNCHANGED if Unchanged in members else None):
        raise TypeError(f"wrong default of {parameter.name}: see the rules of this module")
    nullable = reduce(or_, [member for member in members if member is not Unchanged])
    return InputField(parameter.name, nullable, strawberry.UNSET, description, Null.REFUSED in metadata)


def _arguments(fields: Sequence[InputField], given: object) -> dict[str, Any]:
    """The arguments of the resolver: what the client gave. Raises ValidationFailed for null that cannot be."""
    arguments = {field.name: getattr(given, field.name) for field in fields}
    for field in fields:
        if field.refuses_null and arguments[field.name] is None:
            name = to_camel_case(field.name)
            raise ValidationFailed(f"{name} cannot be null. Leave it out to keep it as it is.", path=("input", name))
    return {name: value for name, value in arguments.items() if value is not strawberry.UNSET}


def _input_type(mutation_name: str, fields: Sequence[InputField], *, one_of: bool) -> type:
    defined = {field.name: strawberry.field(default=field.default, description=field.description) for field in fields}
    annotations = {field.name: field.type for field in fields}
    type_ = type(f"{mutation_name}Input", (), {"__annotations__": annotations, **defined})
    return strawberry.input(type_, one_of=one_of, description=f"The input of `{_field_name(mutation_name)}`.")


def _payload_type(mutation_name: str, result: type) -> Any:
    base = MutationPayload if result is NoneType else result
    type_ = type(f"{mutation_name}Payload", (base,), {"__annotations__": {}})
    return strawberry.type(type_, description=f"The payload of `{_field_name(mutation_name)}`.")


def _field_name(mutation_name: str) -> str:
    return mutation_name[0].lower() + mutation_name[1:]


def _description(resolver: Resolver) -> str:
    """The docstring, one line for each paragraph."""
    paragraphs = (inspect.getdoc(resolver) or "").split("\n\n")
    return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
