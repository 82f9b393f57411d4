"""What a claim rests on: what the measured work returned, and the values that its value was computed from.

Standard library only, so that workers under any interpreter can import this module.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import json
import linecache
import operator
import types
from collections.abc import Iterator, Mapping, Set
from typing import Any

from helpers.quantities import is_number

FEW = 64  # elements that are kept one by one; of more, their number and a digest
DEEP = 4  # levels of nesting that a fingerprint looks into
COUNT = 10_000  # whole numbers up to here are counts, which differ or not; larger ones may be noisy
ROUNDING = 1e-9  # by which two ways to compute the same float may differ
NOISE = 0.1  # the share by which a measured number may differ and still be the same


class Measured:
    """A number that knows what the measured call returned (`did`) and from how many readings it comes.

    It keeps both through arithmetic, so a ratio of two measurements has the receipts of both.
    """

    did: tuple[Any, ...]
    readings: int | None

    @property
    def bare(self) -> int | float:
        """The number alone."""
        return int(self) if isinstance(self, int) else float(self)  # type: ignore[arg-type]


class MeasuredInt(Measured, int):
    """A count, or bytes."""


class MeasuredFloat(Measured, float):
    """Seconds, or a ratio."""


def measured(number: float, did: tuple[Any, ...], readings: int | None = None) -> Any:
    """A number with its receipts; receipts that say nothing (None) are left out."""
    made: Any = MeasuredInt(number) if isinstance(number, int) else MeasuredFloat(number)
    made.did, made.readings = tuple(part for part in did if part is not None), readings
    return made


def _bare(value: Any) -> Any:
    return value.bare if isinstance(value, Measured) else value


def _carrying(name: str) -> None:
    apply = getattr(operator, name)

    def both(result: Any, *operands: Any) -> Any:
        if not is_number(result):
            return result
        from_measuring = [x for x in operands if isinstance(x, Measured)]
        counts = [x.readings for x in from_measuring if x.readings is not None]
        did = tuple(part for x in from_measuring for part in x.did)
        return measured(result, did, min(counts, default=None))

    def forward(self: Measured, other: Any) -> Any:
        return both(apply(self.bare, _bare(other)), self, other)

    def backward(self: Measured, other: Any) -> Any:
        return both(apply(_bare(other), self.bare), other, self)

    setattr(Measured, f"__{name}__", forward)
    setattr(Measured, f"__r{name}__", backward)


for _name in ("add", "sub", "mul", "truediv", "floordiv"):
    _carrying(_name)


def readings_of(value: Any) -> int | None:
    """From how many readings a value comes: the least of all measurements in it; None if unknown."""
    counts = [m.readings for m in _measurements(value) if m.readings is not None]
    return min(counts, default=None)


def did_of(value: Any) -> tuple[Any, ...]:
    """What the measured calls behind a value returned, as far as they returned something."""
    return tuple(part for found in _measurements(value) for part in found.did)


def _measurements(value: Any) -> Iterator[Measured]:
    if isinstance(value, Measured):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _measurements(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _measurements(part)


def why_idle(did: Any) -> str | None:
    """Why a receipt is not one: nothing was done, or the sides (a mapping) did different things."""
    sides = list(did.values()) if isinstance(did, Mapping) else [did]
    if not sides or any(map(is_empty, sides)):
        return f"nothing was done (did={_short(did)})"
    prints = [fingerprint(side) for side in sides]
    if any(moved(prints[0], other, ROUNDING) for other in prints[1:]):
        return f"the sides did different things (did={_short(did)})"
    return None


def is_empty(did: Any) -> bool:
    """Whether a receipt says that nothing was done; False and True are answers, not quantities."""
    if did is None:
        return True
    if isinstance(did, bool):
        return False
    if is_number(did):
        return did == 0 or did != did
    return hasattr(did, "__len__") and len(did) == 0


def _short(value: Any, most: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


# --- fingerprints ------------------------------------------------------------------------------


def fingerprint(value: Any, depth: int = 0) -> Any:
    """A value as JSON that is the same in every process; None for what has no value to compare
    (functions, iterators, connections)."""
    if isinstance(value, Measured):
        return value.bare
    if value is None or isinstance(value, bool | str | int | float):
        return value if not isinstance(value, str) or len(value) <= FEW else _digest(value.encode())
    if isinstance(value, bytes | bytearray | memoryview):
        return _digest(bytes(value))
    if isinstance(value, type | types.ModuleType) or callable(value) or depth > DEEP:
        return None
    if type(value).__module__.partition(".")[0] in ("numpy", "pandas", "pyarrow"):
        return _of_columns(value)
    below = functools.partial(fingerprint, depth=depth + 1)
    if isinstance(value, Mapping):
        return _few([[str(key), below(part)] for key, part in value.items()])
    if isinstance(value, Set):
        return _few(sorted((below(part) for part in value), key=repr))
    if isinstance(value, list | tuple):
        return _few([below(part) for part in value])
    if dataclasses.is_dataclass(value):
        return [[f.name, below(getattr(value, f.name))] for f in dataclasses.fields(value)]
    if own := getattr(value, "__dict__", None):
        return _few([[name, below(part)] for name, part in own.items()])
    return None


def _of_columns(value: Any) -> Any:
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return value.item()
    import pickle

    return _digest(pickle.dumps(value))


def _few(parts: list[Any]) -> Any:
    if len(parts) <= FEW:
        return parts
    return [len(parts), _digest(json.dumps(parts, default=str).encode())]


def _digest(data: bytes) -> str:
    return f"{len(data)}:{hashlib.sha256(data).hexdigest()[:16]}"


def moved(before: Any, after: Any, noise: float = NOISE) -> bool:
    """Whether two fingerprints differ by more than `noise`, a share that a measurement may differ by."""
    if is_number(before) and is_number(after):
        if isinstance(before, int) and isinstance(after, int) and max(before, after) <= COUNT:
            return before != after
        return not abs(before - after) <= noise * max(abs(before), abs(after))
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return any(moved(a, b, noise) for a, b in zip(before, after, strict=True))
    return bool(before != after)


# --- the inputs of a claim ---------------------------------------------------------------------


def inputs(frame: types.FrameType | None, id: str) -> dict[str, Any]:
    """The fingerprints of what the value of claim `id` is computed from, by its text in the cell.

    Reads the call in the source of the cell that `frame` executes; {} where there is none.
    """
    call = frame and _call(frame, id)
    if not frame or not call:
        return {}
    found = {}
    for path in paths(call.args[2]):
        text = ast.unparse(path)
        try:
            code = compile(ast.Expression(path), "<input>", "eval")
            value = fingerprint(eval(code, frame.f_globals, frame.f_locals))
        except Exception:  # an input that cannot be read here is not compared
            continue
        if value is not None:
            found[text] = value
    return found


def _call(frame: types.FrameType, id: str) -> ast.Call | None:
    source = "".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals))
    try:
        tree = compile(source, "<cell>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and len(node.args) >= 3:
            first = node.args[0]
            if getattr(node.func, "id", "") == "claim" and getattr(first, "value", None) == id:
                return node
    return None


def paths(expression: ast.expr) -> list[ast.expr]:
    """The values that an expression reads: names with what is looked up in them, `peaks["list"][-1]`.

    Not among them: functions that it calls, its own loop variables, and CONSTANTS.
    """
    own = {n.id for n in ast.walk(expression) if isinstance(n, ast.Name) and not _loads(n)}
    own |= {n.arg for n in ast.walk(expression) if isinstance(n, ast.arg)}
    found: list[ast.expr] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            # A function is no input, but the object whose method is called is one.
            called = [node.func.value] if isinstance(node.func, ast.Attribute) else []
            for part in [*called, *node.args, *(k.value for k in node.keywords)]:
                visit(part)
        elif (root := _root(node, own)) is not None:
            last = node.attr if isinstance(node, ast.Attribute) else root
            if not (root.isupper() or last.isupper()):
                found.append(node)  # type: ignore[arg-type]
        else:
            for part in ast.iter_child_nodes(node):
                visit(part)

    visit(expression)
    return list({ast.unparse(path): path for path in found}.values())


def _loads(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Load)


def _root(node: ast.AST, own: set[str]) -> str | None:
    """The name at the root of a chain of attributes and plain subscripts; None if it is no chain."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        if isinstance(node, ast.Subscript):
            inside = list(ast.walk(node.slice))
            names = {n.id for n in inside if isinstance(n, ast.Name)}
            if names & own or any(isinstance(n, ast.Call) for n in inside):
                return None
        node = node.value
    return node.id if isinstance(node, ast.Name) and node.id not in own else None
