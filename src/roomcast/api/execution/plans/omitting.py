"""An executor that may leave out fields of an operation. Here it leaves out none: a subclass decides."""

from typing import Any

from graphql import GraphQLObjectType
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path

from roomcast.api.execution.bounded_executor import BoundedExecutor


class OmittingExecutor(BoundedExecutor):
    @property
    def leaves_out_fields(self) -> bool:
        """Whether this execution leaves out any fields."""
        return False

    def leaves_out(self, parent: GraphQLObjectType, field_name: str) -> bool:
        """Whether this execution leaves out the field, for `leave_out` to put something in its place."""
        return False

    def leave_out(self, parent: GraphQLObjectType, source: Any, details: FieldDetailsList, path: Path) -> Any:
        """What stands in the place of the field. Called only where `leaves_out` is true."""
        raise NotImplementedError
