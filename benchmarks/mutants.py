"""Changes of one expression in a file of Python: what `mutation.py` tries."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OPERATORS = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div],
    ast.Div: [ast.Mult],
    ast.FloorDiv: [ast.Mult],
    ast.Pow: [ast.Mult],
    ast.BitAnd: [ast.BitOr],
    ast.BitOr: [ast.BitAnd],
}
COMPARISONS = {
    ast.Lt: [ast.LtE, ast.Gt],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.Lt],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
}
PAIRS = (
    ("maximum", "minimum"),
    ("max", "min"),
    ("argmax", "argmin"),
    ("ones", "zeros"),
    ("ones_like", "zeros_like"),
    ("cos", "sin"),
    ("log", "log1p"),
    ("gammaln", "digamma"),
    ("multigammaln", "multidigamma"),
    ("cumsum", "cumprod"),
    ("triu_indices", "tril_indices"),
    ("tril", "triu"),
    ("sum", "mean"),
    ("inward", "outward"),
    ("transform", "untransform"),
    ("apply", "solve"),
    ("alpha", "beta"),
    ("counts", "sums"),
    ("any", "all"),
    ("LOG_2", "LOG_PI"),
)
NAMES = dict(PAIRS) | {b: a for a, b in PAIRS}
DROPPED = set("swapaxes sum exp sqrt log abs floored within stop_gradient clip round cholesky astype item".split())
"""Calls in whose place the first argument, or the object, may stand."""


@dataclass(frozen=True)
class Mutant:
    """One change: ``number`` counts the places of the file in the order that they are visited."""

    path: Path
    number: int
    line: int
    lines: tuple[int, ...]
    before: str
    after: str
    in_function: bool

    @property
    def file(self) -> str:
        return self.path.name

    def __str__(self):
        return f"{self.file}:{self.line} #{self.number} {self.before} -> {self.after}"

    def source(self) -> ast.Module:
        tree = ast.parse(self.path.read_text())
        for number, (node, field, index, new) in enumerate(places(tree)):
            if number == self.number:
                put(node, field, index, new)
                return ast.fix_missing_locations(tree)
        raise IndexError(self.number)


def mutants_of(path: Path) -> Iterator[Mutant]:
    """All changes of a file."""
    tree = ast.parse(path.read_text())
    for number, (node, field, index, new) in enumerate(places(tree)):
        old = getattr(node, field) if index is None else getattr(node, field)[index]
        whole = statement_of(tree, old)
        lines = tuple(range(whole.lineno, last_line(whole) + 1))
        yield Mutant(path, number, old.lineno, lines, short(old), short(new), in_function(tree, whole))


def in_function(tree, statement) -> bool:
    """Whether an import alone does not run it."""
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node is not statement)
    return any(inner is statement for function in functions for inner in ast.walk(function))


def short(node) -> str:
    return ast.unparse(node).replace("\n", " ")[:100]


def last_line(node) -> int:
    """Of the head only, where a statement has a body."""
    body = getattr(node, "body", None)
    return max(node.lineno, body[0].lineno - 1) if isinstance(body, list) and body else node.end_lineno


def statement_of(tree, node):
    """The innermost statement that holds a node."""
    found = None
    for other in ast.walk(tree):
        if isinstance(other, ast.stmt) and other.lineno <= node.lineno and node.end_lineno <= other.end_lineno:
            if any(inner is node for inner in ast.walk(other)):
                if found is None or (other.lineno, -other.end_lineno) >= (found.lineno, -found.end_lineno):
                    found = other
    return found


def put(node, field, index, new):
    if index is None:
        setattr(node, field, new)
    else:
        getattr(node, field)[index] = new


def places(tree) -> Iterator[tuple]:
    """Where an expression may be replaced, and by what."""
    for node, field, index, child in expressions(tree):
        for new in replacements(child):
            yield node, field, index, ast.copy_location(new, child)


def expressions(node) -> Iterator[tuple]:
    """All expressions below a node with the places that hold them, but for annotations, words and decorators."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "slots") or isinstance(node, (ast.Raise, ast.Import, ast.ImportFrom)):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or protocol(child):
                continue
            if isinstance(child, ast.expr):
                yield node, field, index, child
            yield from expressions(child)


def protocol(node) -> bool:
    return isinstance(node, ast.ClassDef) and any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)


def replacements(node) -> Iterator[ast.expr]:
    """Expressions that a mutant has in place of this one."""
    yield from KINDS.get(type(node), lambda _: ())(node)


def of_comparison(node) -> Iterator[ast.expr]:
    if len(node.ops) == 1:
        yield from (ast.Compare(node.left, [op()], node.comparators) for op in COMPARISONS.get(type(node.ops[0]), []))


def of_several(node) -> Iterator[ast.expr]:
    yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    yield node.values[0]


def of_name(node) -> Iterator[ast.expr]:
    if node.id in NAMES and isinstance(node.ctx, ast.Load):
        yield ast.Name(NAMES[node.id], node.ctx)


def of_attribute(node) -> Iterator[ast.expr]:
    if isinstance(node.ctx, ast.Load):
        if node.attr in NAMES:
            yield ast.Attribute(node.value, NAMES[node.attr], node.ctx)
        if node.attr == "T":
            yield node.value


def of_operation(node) -> Iterator[ast.expr]:
    for op in OPERATORS.get(type(node.op), []):
        yield ast.BinOp(node.left, op(), node.right)
    if isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.BitAnd, ast.BitOr)):
        yield node.left
    if isinstance(node.op, (ast.Add, ast.Mult)):
        yield node.right


def of_constant(node) -> Iterator[ast.expr]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        if value > 0:
            yield ast.Constant(value - 1)
    elif isinstance(value, float):
        yield ast.Constant(1.5 * value if value else 1.0)


def of_call(node) -> Iterator[ast.expr]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    module = isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name) and node.func.value.id in ("jnp", "np")
    if name == "where" and len(node.args) == 3:
        test, yes, no = node.args
        yield ast.Call(node.func, [test, no, yes], [])
        yield yes
        yield no
    elif name in DROPPED:
        method = isinstance(node.func, ast.Attribute) and not module and not isinstance(node.func.value, ast.Attribute)
        if method and name not in ("floored", "within", "stop_gradient"):
            yield node.func.value
        elif node.args:
            yield node.args[0]
    elif name in ("maximum", "minimum") and len(node.args) == 2:
        yield node.args[0]
    elif node.keywords:
        yield from (
            ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1 :])
            for i, k in enumerate(node.keywords)
            if k.arg in ("keepdims", "axis", "dtype", "rows")
        )


KINDS = {
    ast.BinOp: of_operation,
    ast.Compare: of_comparison,
    ast.BoolOp: of_several,
    ast.UnaryOp: lambda node: (node.operand,),
    ast.Constant: of_constant,
    ast.IfExp: lambda node: (ast.IfExp(node.test, node.orelse, node.body),),
    ast.Name: of_name,
    ast.Attribute: of_attribute,
    ast.Call: of_call,
}
"""What takes the place of each kind of expression."""
