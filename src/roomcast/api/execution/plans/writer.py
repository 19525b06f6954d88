"""Writes the code of a plan: one function for each object type of each selection.

The parameters of these functions are `s`, the source object; `R`, the `Run`; `P`, the list of `Pending` values. They
return the completed value, or raise any exception. A function for `{ author { username } createdAt }` reads

    def object7(s, R, P):
        if not is_type_of3(s, R): raise Unusual
        R.fields += 2
        if R.fields > R.max_fields: raise Unusual
        v4 = resolve5(s, message=s, info=R)
        wv4 = None
        if isinstance(v4, PENDING): wv4, v4 = Pending('author', v4, complete8), None; P.append(wv4)
        else:
            if v4 is not None:
                v4 = object2(v4, R, P)
        v6 = coerce7(s.created_at)
        texts = len(v6)
        if texts >= 256: texts = text_sizes(v6)
        R.bytes += 31 + texts
        d = {'author': v4, 'createdAt': v6}
        if wv4 is not None: wv4.target = d
        return d
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from graphql import (
    GraphQLAbstractType,
    GraphQLBoolean,
    GraphQLField,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLString,
    get_nullable_type,
    is_abstract_type,
    is_enum_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path, Undefined

from roomcast.api.execution.bounded_executor import FIELD_BYTES, SHORT_TEXT
from roomcast.api.execution.fast_resolvers import AttributeResolver, FunctionResolver
from roomcast.api.execution.plans.omitting import OmittingExecutor
from roomcast.api.execution.plans.run import NOT_OBJECTS, Pending, Plan, SelectedField, Unusual, text_sizes
from roomcast.api.loaders import AWAITABLE_TYPES

MAX_PLANNED_FIELDS: Final = 400
"""Fields of a plan. A field of an interface counts once for each type that it may be. Limits the time of compiling to
about ten milliseconds."""

FIELD_KEY: Final = "value"

NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*")
INT_TEST = "type({0}) is not int or not -2147483648 <= {0} <= 2147483647"


class Unplannable(Exception):
    """A selection that has no plan."""


def write_plan(executor: OmittingExecutor, type_: GraphQLObjectType, details: FieldDetailsList) -> Plan:
    """The plan of what one field selects of this type. It has no code if there can be none."""
    writer = PlanWriter(executor, type_)
    return _written(writer, details, lambda: writer.object_function(type_, details))


def write_field_plan(executor: OmittingExecutor, parent: GraphQLObjectType, details: FieldDetailsList) -> Plan:
    """The plan of one field. `complete` gets its object, and returns a dictionary with the value under `FIELD_KEY`."""
    writer = PlanWriter(executor, parent)
    return _written(writer, details, lambda: writer.field_function(parent, details))


def _written(writer: "PlanWriter", details: FieldDetailsList, write: Callable[[], str]) -> Plan:
    try:
        name = write()
        source = "\n".join(writer.lines)
        exec(compile(source, "<plan>", "exec"), writer.names)  # noqa: S102  # see the package for what it contains
    except Exception:  # also what graphql-core raises for the selection: it will raise it again
        return Plan(details)
    return Plan(details, writer.names[name], writer.fields, source)


@dataclass(slots=True)
class ObjectCode:
    """The code of one object: statements for its fields, entries of its dictionary, variables with texts, statements
    for values that are not there yet, and the bytes of its names. `is_flat`: it has leaf values only."""

    size: int
    is_flat: bool = True
    body: list[str] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        data = "{" + ", ".join(self.entries) + "}"
        returned = [f"d = {data}", *self.later, "return d"] if self.later else [f"return {data}"]
        return [*self.body, *_counting(self.size, self.texts), *returned]


class PlanWriter:
    """`names`: the globals of the code. `fields`: the fields that it calls by number."""

    def __init__(self, executor: OmittingExecutor, type_: GraphQLObjectType) -> None:
        self.lines: list[str] = []
        self.fields: list[SelectedField] = []
        self.names: dict[str, Any] = {
            "NOT_OBJECTS": NOT_OBJECTS,
            "PENDING": AWAITABLE_TYPES,
            "Pending": Pending,
            "Unusual": Unusual,
            "text_sizes": text_sizes,
        }
        self._executor, self._type, self._numbers, self._planned = executor, type_, count(1), 0
        self._flat: set[str] = set()

    # ------------------------------------------------------------------ objects and their fields

    def object_function(self, type_: GraphQLObjectType, details: FieldDetailsList) -> str:
        """Write the function that completes an object of this type. Returns its name."""
        selected = self._selected(type_, details)
        code = ObjectCode(size=sum(map(len, selected)) + FIELD_BYTES * len(selected))
        for key, found in selected.items():
            name = found[0].node.name.value
            if name == "__typename":
                code.entries.append(f"{key!r}: {type_.name!r}")
                code.size += len(type_.name)
            else:
                self._add_field(code, type_, key, found)
        counting = [f"R.fields += {len(selected)}", "if R.fields > R.max_fields: raise Unusual"]
        function = self._define("object", "s", [self._type_check(type_), *counting, *code.lines()])
        if code.is_flat and len(selected) > 1:
            self._flat.add(function)
        return function

    def field_function(self, parent: GraphQLObjectType, details: FieldDetailsList) -> str:
        """Write the function that completes one field of an object. Returns its name.

        The object has been checked, and the field's name counted, where the field was left out.
        """
        if details[0].fragment_variable_values is not None:
            raise Unplannable
        code = ObjectCode(size=0)
        self._add_field(code, parent, FIELD_KEY, details)
        return self._define("field", "s", code.lines())

    def _add_field(self, code: "ObjectCode", type_: GraphQLObjectType, key: str, details: FieldDetailsList) -> None:
        name, value = details[0].node.name.value, self._name("v")
        field = type_.fields[name]
        code.entries.append(f"{key!r}: {value}")
        if self._executor.leaves_out(type_, name):
            code.body.append(f"{value} = R.leave_out({self._numbered(type_, field, details)}, s)")
            code.is_flat = False
            return
        code.body.append(f"{value} = {self._fetched(type_, field, details)}")
        completing = self._completing(field.type, value, details)
        if _is_text(field.type):
            code.texts.append(value)
        if isinstance(field.resolve, AttributeResolver | FunctionResolver) and not field.resolve.may_wait:
            code.body += completing
        else:
            complete = self._function("complete", value, completing, field.type)
            code.body += _now_or_later(value, f"Pending({key!r}, {value}, {complete})", completing)
            code.later.append(f"if w{value} is not None: w{value}.target = d")
        code.is_flat = code.is_flat and not code.later and is_leaf_type(get_nullable_type(field.type))

    def _selected(self, type_: GraphQLObjectType, details: FieldDetailsList) -> dict[str, FieldDetailsList]:
        """The selected fields by their response keys. Raises Unplannable."""
        selected, deferred, _ = self._executor.collect_subfields(type_, details)
        self._planned += len(selected)
        if deferred or self._planned > MAX_PLANNED_FIELDS:
            raise Unplannable
        for key, found in selected.items():
            name = found[0].node.name.value
            known = name in type_.fields or name == "__typename"
            if not known or not NAME.fullmatch(key) or found[0].fragment_variable_values is not None:
                raise Unplannable
        return selected

    def _type_check(self, type_: GraphQLObjectType) -> str:
        if type_.is_type_of is None:
            return "if isinstance(s, NOT_OBJECTS): raise Unusual"
        return f"if not {self._constant('is_type_of', type_.is_type_of)}(s, R): raise Unusual"

    def _fetched(self, parent: GraphQLObjectType, field: GraphQLField, details: FieldDetailsList) -> str:
        """An expression for the value that the resolver returns."""
        resolver = field.resolve
        if isinstance(resolver, AttributeResolver):
            return f"s.{resolver.name}"
        if not isinstance(resolver, FunctionResolver):
            return f"R.call({self._numbered(parent, field, details)}, s)"
        arguments = ["s"] if resolver.is_method else []
        arguments += [f"{resolver.source_name}=s"] if resolver.source_name else []
        arguments += [f"{resolver.info_name}=R"] if resolver.info_name else []
        return f"{self._constant('resolve', resolver.function)}({', '.join(arguments)})"

    # ------------------------------------------------------------------ values

    def _completing(self, type_: GraphQLOutputType, value: str, details: FieldDetailsList) -> list[str]:
        """Statements that replace the value in this variable by the completed one."""
        inner, is_required = get_nullable_type(type_), is_non_null_type(type_)
        if is_leaf_type(inner):
            return [self._completing_leaf(inner, value, is_required=is_required)]
        if is_list_type(inner):
            lines = self._completing_list(inner, value, details)
        else:
            function = self._object_or_abstract(inner, details)
            completed = f"R.once({function}, {value}, P)" if function in self._flat else f"{function}({value}, R, P)"
            lines = [f"{value} = {completed}"]
        return lines if is_required else [f"if {value} is not None:", *_indented(lines)]

    def _completing_list(self, type_: GraphQLList[Any], value: str, details: FieldDetailsList) -> list[str]:
        item = type_.of_type
        if is_leaf_type(get_nullable_type(item)) or is_list_type(get_nullable_type(item)):
            completed = f"{self._function('item', 'x', self._completing(item, 'x', details), item)}(x, R, P)"
        else:
            completed = f"{self._object_or_abstract(get_nullable_type(item), details)}(x, R, P)"
            completed = completed if is_non_null_type(item) else f"None if x is None else {completed}"
        return [
            f"if type({value}) is not list and type({value}) is not tuple: raise Unusual",
            f"{value} = [{completed} for x in {value}]",
        ]

    def _object_or_abstract(self, type_: Any, details: FieldDetailsList) -> str:
        """Write the function for values of this type. Returns its name."""
        if is_object_type(type_):
            return self.object_function(type_, details)
        if is_abstract_type(type_):
            return self._abstract_function(type_, details)
        raise Unplannable

    def _abstract_function(self, type_: GraphQLAbstractType, details: FieldDetailsList) -> str:
        """Write the function that completes an object of an interface or a union."""
        schema = self._executor.schema
        functions = {each.name: self.object_function(each, details) for each in schema.get_possible_types(type_)}
        table = ", ".join(f"{name!r}: {function}" for name, function in functions.items())
        table_name = self._name("types")
        self.lines.append(f"{table_name} = {{{table}}}")
        info = self._numbered(self._type, GraphQLField(type_), details)
        resolve = self._constant("resolve_type", type_.resolve_type or self._executor.type_resolver)
        body = [
            f"complete = {table_name}.get({resolve}(s, R.info({info}), {self._constant('type', type_)}))",
            "if complete is None: raise Unusual",
            "return complete(s, R, P)",
        ]
        return self._define("abstract", "s", body)

    def _completing_leaf(self, type_: GraphQLLeafType, value: str, *, is_required: bool) -> str:
        if type_ is GraphQLInt:
            test = INT_TEST.format(value)
        elif type_.coerce_output_value is int:
            test = f"type({value}) is not int"
        elif type_ is GraphQLBoolean:
            test = f"{value} is not True and {value} is not False"
        elif type_ in (GraphQLString, GraphQLID) or type_.coerce_output_value is str:
            test = f"type({value}) is not str"
        else:
            test = ""
        coerced = f"{value} = {self._constant('coerce', _coercing(type_))}({value})"
        tests = [f"{value} is not None"] * (not is_required) + [f"({test})"] * bool(test)
        return f"if {' and '.join(tests)}: {coerced}" if tests else coerced

    # ------------------------------------------------------------------ names

    def _name(self, kind: str) -> str:
        return f"{kind}{next(self._numbers)}"

    def _constant(self, kind: str, value: Any) -> str:
        name = self._name(kind)
        self.names[name] = value
        return name

    def _numbered(self, parent: GraphQLObjectType, field: GraphQLField, details: FieldDetailsList) -> int:
        node = details[0].node
        path = Path(None, (node.alias or node.name).value, parent.name)
        self.fields.append(SelectedField(parent, field, details, path))
        return len(self.fields) - 1

    def _function(self, kind: str, value: str, completing: Sequence[str], type_: GraphQLOutputType) -> str:
        """Write a function that completes one value apart from its object."""
        counting = _counting(0, [value] if _is_text(type_) else [])
        return self._define(kind, value, [*completing, *counting, f"return {value}"])

    def _define(self, kind: str, parameter: str, body: Iterable[str]) -> str:
        name = self._name(kind)
        self.lines += [f"def {name}({parameter}, R, P):", *_indented(body), ""]
        return name


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _now_or_later(value: str, pending: str, completing: Sequence[str]) -> list[str]:
    """Statements that complete the value or, if it is awaitable, set its variable to None."""
    return [
        f"w{value} = None",
        f"if isinstance({value}, PENDING): w{value}, {value} = {pending}, None; P.append(w{value})",
        "else:",
        *_indented(completing),
    ]


def _counting(size: int, texts: Sequence[str]) -> list[str]:
    """Statements that count the bytes of an object, or of one value."""
    if not texts:
        return [f"R.bytes += {size}"] if size else []
    lengths = " + ".join(f"len({text} or '')" for text in texts)
    return [
        f"texts = {lengths}",
        f"if texts >= {SHORT_TEXT}: texts = text_sizes({', '.join(texts)})",
        f"R.bytes += {size} + texts",
    ]


def _is_text(type_: GraphQLOutputType) -> bool:
    """Whether completed values are strings."""
    inner: Any = get_nullable_type(type_)
    return is_leaf_type(inner) and inner not in (GraphQLInt, GraphQLBoolean) and inner.coerce_output_value is not int


def _coercing(type_: GraphQLLeafType) -> Callable[[Any], Any]:
    """A function for the values that the generated code does not recognize as completed. Raises for odd ones."""
    is_text, known = _is_text(type_), dict[Any, Any]()

    def coerce(value: Any) -> Any:
        if isinstance(value, NOT_OBJECTS):
            raise Unusual
        coerced = type_.coerce_output_value(value)
        if coerced is None or coerced is Undefined or (type(coerced) is str) is not is_text:
            raise Unusual
        return coerced

    def coerce_enum(value: Any) -> Any:
        if value not in known:
            known[value] = coerce(value)
        return known[value]

    return coerce_enum if is_enum_type(type_) else coerce
