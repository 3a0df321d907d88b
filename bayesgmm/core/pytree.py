"""Frozen dataclasses that JAX can trace through."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar, dataclass_transform

import jax

T = TypeVar("T")


def static() -> Any:
    """Mark a dataclass field as part of the type (hashable, not traced)."""
    return dataclasses.field(metadata={"static": True})


@dataclass_transform(frozen_default=True)
def pytree(cls: type[T]) -> type[T]:
    """Make ``cls`` a frozen dataclass and register it with JAX; `static` fields become metadata."""
    cls = dataclasses.dataclass(frozen=True)(cls)
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    data = [f.name for f in fields if not f.metadata.get("static")]
    meta = [f.name for f in fields if f.metadata.get("static")]
    return jax.tree_util.register_dataclass(cls, data_fields=data, meta_fields=meta)


replace = dataclasses.replace
