"""Blocks that are picked in the form of a flow run, as Prefect's server lets them be picked."""

from __future__ import annotations

from typing import Any

from prefect.blocks.core import Block
from pydantic import GetJsonSchemaHandler


class FormBlock(Block):
    """A block that a parameter of a flow may be.

    A form sends ``{"$ref": ...}`` for a block that was picked. The server takes that if it is a reference or a block's
    fields, but not both: and it is both where a block may have any field, which is Prefect's default. So the schema
    says which fields there are, and no others.
    """

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the JSON schema of a parameter of this type."""
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        handler.resolve_ref_schema(schema)["additionalProperties"] = False
        return schema
