"""A cache of GraphQL documents. Each text is parsed, measured, validated and priced once."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    is_abstract_type,
    parse,
    print_ast,
    specified_rules,
    validate,
    visit,
)
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from roomcast.api.errors import coded_error, with_code
from roomcast.api.execution.cost import Cost, CostEstimator
from roomcast.api.execution.limits import Limits, SizeChecker, too_complex
from roomcast.core.bounded_cache import BoundedCache

MAX_CACHED_DOCUMENTS = 1_000
MAX_CACHED_CHARACTERS = 2_000_000
"""Limit of all cached texts together. A parsed document takes about a hundred times the memory of its text."""

MAX_ERRORS = 5
"""Validation errors that are reported. A document can have thousands, and each takes time."""

CREDENTIAL_MUTATIONS = frozenset({"signup", "login", "refreshSession", "changePassword"})
"""Mutations that check a secret. A document may have one of them; otherwise one request could guess many passwords."""


class RequestErrors(Exception):
    """The request is not executed. The response has only these errors and no data."""

    def __init__(self, *errors: GraphQLError) -> None:
        super().__init__(errors)
        self.errors = errors

    @property
    def code(self) -> str:
        """The code of the first error."""
        return str((self.errors[0].extensions or {}).get("code", "INTERNAL")) if self.errors else "INTERNAL"


NAME = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document."""

    document: DocumentNode
    definition: OperationDefinitionNode
    viewer_fields: frozenset[str]
    """Of a subscription: the fields whose value may depend on the viewer, e.g. `Room.viewerMembership`."""
    identity: str
    """The document in a normal layout. Clients whose documents differ only in white space share a group."""
    root_fields: tuple[str, ...]
    """The names of the root fields, aliases and fragments resolved. A name occurs once for each selection."""
    cost: Cost
    field_names: frozenset[str]
    """Every name in the document. A field whose name is missing here is not selected."""
    conditions: tuple[str, ...]
    """The names of the Boolean variables, which `@skip` and `@include` may use."""

    @property
    def kind(self) -> OperationType:
        return self.definition.operation

    @property
    def is_shared(self) -> bool:
        """Whether this is a subscription without viewer fields: all subscribers receive the same payloads."""
        return self.kind is OperationType.SUBSCRIPTION and not self.viewer_fields

    @property
    def name(self) -> str | None:
        return self.definition.name.value if self.definition.name else None


class DocumentCache:
    """`introspection`: whether documents may query the schema."""

    def __init__(self, schema: GraphQLSchema, limits: Limits, *, introspection: bool) -> None:
        self._schema, self._limits = schema, limits
        self._rules = [*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule]
        if not introspection:
            self._rules.append(NoSchemaIntrospectionCustomRule)
        self._cache: BoundedCache[str, dict[str | None, Operation]] = BoundedCache(
            MAX_CACHED_DOCUMENTS, max_weight=MAX_CACHED_CHARACTERS, weigh=lambda query, _: len(query)
        )

    def is_cached(self, query: str) -> bool:
        return query in self._cache

    def operation(self, query: str, name: str | None) -> Operation:
        """The named operation of a document, or its only one. Raises RequestErrors."""
        operations = self._cache.get(query)
        if operations is None:
            operations = self._analyze(query)
            self._cache.put(query, operations)
        if name is None and len(operations) == 1:
            return next(iter(operations.values()))
        if name is None:
            raise RequestErrors(
                coded_error("OPERATION_NOT_FOUND", "The document has several operations. Name one with operationName.")
            )
        if name not in operations:
            raise RequestErrors(coded_error("OPERATION_NOT_FOUND", "The document has no operation of that name."))
        return operations[name]

    def _analyze(self, query: str) -> dict[str | None, Operation]:
        if len(query) > self._limits.source_characters:
            raise RequestErrors(too_complex(f"more than {self._limits.source_characters} characters"))
        try:
            document = parse(query, max_tokens=self._limits.tokens)
            sizes = SizeChecker(document, self._limits)
            root_fields = {id(each): sizes.root_fields(each) for each in operations_of(document)}
        except GraphQLSyntaxError as error:
            raise RequestErrors(with_code(error, "GRAPHQL_PARSE_FAILED")) from None
        except GraphQLError as error:
            raise RequestErrors(error) from None
        except RecursionError:
            raise RequestErrors(too_complex("nested too deeply")) from None
        errors = validate(self._schema, document, self._rules, max_errors=MAX_ERRORS, hide_suggestions=True)
        if errors:
            raise RequestErrors(*(with_code(error, "GRAPHQL_VALIDATION_FAILED") for error in errors))
        return self._build_operations(document, root_fields)

    def _build_operations(
        self, document: DocumentNode, root_fields: Mapping[int, list[str]]
    ) -> dict[str | None, Operation]:
        estimator, identity = CostEstimator(self._schema, document), print_ast(document)
        names = frozenset(NAME.findall(identity))
        operations: dict[str | None, Operation] = {}
        for each in operations_of(document):
            roots = tuple(root_fields[id(each)])
            if sum(name in CREDENTIAL_MUTATIONS for name in roots) > 1:
                raise RequestErrors(too_complex("more than one mutation that checks a password or token"))
            name = each.name.value if each.name else None
            viewer_fields, cost = self._viewer_fields(document, each), estimator.estimate(each)
            operations[name] = Operation(
                document, each, viewer_fields, identity, roots, cost, names, _boolean_variables(each)
            )
        return operations

    def _viewer_fields(self, document: DocumentNode, definition: OperationDefinitionNode) -> frozenset[str]:
        if definition.operation is not OperationType.SUBSCRIPTION:
            return frozenset()
        type_info = TypeInfo(self._schema)
        finder = ViewerFieldFinder(self._schema, type_info)
        visit(document, TypeInfoVisitor(type_info, finder))
        return frozenset(finder.found)


def operations_of(document: DocumentNode) -> list[OperationDefinitionNode]:
    return [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]


def _boolean_variables(definition: OperationDefinitionNode) -> tuple[str, ...]:
    variables = definition.variable_definitions or ()
    return tuple(each.variable.name.value for each in variables if print_ast(each.type) in ("Boolean", "Boolean!"))


class ViewerFieldFinder(Visitor):
    """Finds fields whose value may depend on the viewer.

    A field with a resolver counts as a viewer field unless it is marked as shared. For a field of an interface, the
    fields of all its types are checked.
    """

    def __init__(self, schema: GraphQLSchema, type_info: TypeInfo) -> None:
        super().__init__()
        self._schema, self._type_info = schema, type_info
        self.found: set[str] = set()

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        field, parent = self._type_info.get_field_def(), self._type_info.get_parent_type()
        name = node.name.value
        if field is None or parent is None or name.startswith("__"):
            return
        candidates = [field]
        if is_abstract_type(parent):
            types = self._schema.get_possible_types(parent)
            candidates += [type_.fields[name] for type_ in types if name in type_.fields]
        if not all(is_shared_field(candidate) for candidate in candidates):
            self.found.add(f"{parent.name}.{name}")


def is_shared_field(field: GraphQLField) -> bool:
    """Whether the field has the same value for all viewers."""
    definition = (field.extensions or {}).get("strawberry-definition")
    if definition is None:
        return False
    marked = definition.metadata.get("shared")
    return bool(marked) if marked is not None else definition.is_basic_field and not definition.extensions
