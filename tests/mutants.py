"""Small changes of a worked answer: whatever the check still lets pass, it does not test.

Each mutant differs in one place. It is named by what was changed and where, so that a list can say of a
survivor why it is as right as the original.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


def mutants(source: str) -> dict[str, str]:
    """Name -> source of each mutant of a worked answer."""
    tree, original = ast.parse(source), ast.unparse(ast.parse(source))
    found: dict[str, str] = {}
    for place, _ in enumerate(ast.walk(tree)):
        for what in range(_most(tree, place)):
            changed = copy.deepcopy(tree)
            name = _change(list(ast.walk(changed))[place], what)
            text = ast.unparse(ast.fix_missing_locations(changed))
            if name and text != original:
                found.setdefault(name if name not in found else f"{name} (again)", text)
    return found


def _most(tree: ast.AST, place: int) -> int:
    return len(list(_changes(list(ast.walk(tree))[place])))


def _change(node: ast.AST, number: int) -> str:
    """Make the change of that number in the node; how it is called."""
    for at, (name, make) in enumerate(_changes(node)):
        if at == number:
            make()
            return name
    return ""


def _changes(node: ast.AST) -> Iterator[tuple[str, object]]:
    for field in ("body", "orelse", "finalbody"):
        statements = getattr(node, field, None)
        if isinstance(statements, list):
            yield from _of_statements(node, statements)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _TURNED:
        turned = _TURNED[type(node.ops[0])]()
        yield f"turn: {ast.unparse(node)}", lambda: node.ops.__setitem__(0, turned)
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield f"and/or: {ast.unparse(node)}", lambda: setattr(node, "op", other)
    elif isinstance(node, ast.ExceptHandler) and node.type:
        if (kind := ast.unparse(node.type)) != "Exception":
            yield f"except Exception: {kind}", lambda: setattr(node, "type", ast.Name("Exception"))
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        value = node.value
        yield f"{value} + 1, column {node.col_offset}", lambda: setattr(node, "value", value + 1)


def _of_statements(node: ast.AST, statements: list[ast.stmt]) -> Iterator[tuple[str, object]]:
    for at, statement in enumerate(statements):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Pass):
            continue
        if isinstance(statement, ast.Import | ast.ImportFrom):
            continue  # the notebook imports them too
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # a docstring
        line = ast.unparse(statement).splitlines()[0]
        yield f"delete: {line}", lambda at=at: statements.__setitem__(at, ast.Pass())
        if isinstance(statement, ast.With | ast.AsyncWith):
            for cut in range(1, len(statement.body)):
                yield f"split: {line} at {cut}", lambda at=at, cut=cut: _split(statements, at, cut)


def _split(statements: list[ast.stmt], at: int, cut: int) -> None:
    """Let go of what a `with` holds in the middle of its block, and take it again."""
    first = statements[at]
    second = copy.deepcopy(first)
    first.body, second.body = first.body[:cut], second.body[cut:]  # type: ignore[attr-defined]
    statements.insert(at + 1, second)
