"""Single changes of a source file, found in its syntax tree and written as replacements of text."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">"),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<"),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
}
ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "//",
    ast.Pow: "*",
}
# Names of functions and methods that a slip exchanges; the key of the second table is dropped altogether.
EXCHANGED = {
    "min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "amin": "amax", "amax": "amin",
    "argmin": "argmax", "argmax": "argmin", "floor": "ceil", "ceil": "floor", "clamp_min": "clamp_max",
    "clamp_max": "clamp_min", "sum": "mean", "mean": "sum", "zeros_like": "ones_like", "ones_like": "zeros_like",
    "zeros": "ones", "ones": "zeros", "adjoint": "forward", "cos": "sin", "sin": "cos",
}  # fmt: skip
MODULES = {"torch.", "np.", "math."}
DROPPED = {"abs", "sqrt", "square", "conj", "clamp", "clamp_min", "clamp_max", "neg", "flip", "real", "relu", "exp"}
SKIPPED_FUNCTIONS = {"examples", "example_task", "example_problem"}  # what the kit is given to try, not behaviour


@dataclass(frozen=True)
class Change:
    """Replace the bytes [start, end) of a file by `after`."""

    file: str
    line: int
    start: int
    end: int
    kind: str
    before: str
    after: str

    @property
    def key(self) -> str:
        return f"{self.file}:{self.start}:{self.kind}:{self.before}->{self.after}"

    @property
    def name(self) -> str:
        """The change without its place, for lists that outlive edits of the file."""
        return f"{self.file}: {self.kind}: {self.before} -> {self.after}"

    def applied(self, text: str) -> str:
        data = text.encode()
        return (data[: self.start] + self.after.encode() + data[self.end :]).decode()

    def parses(self, text: str) -> bool:
        try:
            ast.parse(self.applied(text))
        except SyntaxError:
            return False
        return True


class _Finder(ast.NodeVisitor):
    """Walks a tree and collects every change."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.text = file, text
        self.changes: list[Change] = []
        self._starts = [0]
        for line in text.encode().splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def _span(self, node: ast.AST) -> tuple[int, int]:
        return (
            self._starts[node.lineno - 1] + node.col_offset,  # type: ignore[attr-defined]
            self._starts[node.end_lineno - 1] + node.end_col_offset,  # type: ignore[attr-defined]
        )

    def _source(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self.text.encode()[start:end].decode()

    def add(self, kind: str, node: ast.expr | ast.stmt, after: str) -> None:
        start, end = self._span(node)
        self.changes.append(Change(self.file, node.lineno, start, end, kind, self._source(node), after))

    # What is left alone: annotations, strings, texts of errors, examples for the kit, what only type checkers read.

    def visit_Raise(self, node: ast.Raise) -> None:
        self.add("deleted check", node, "pass")

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        return

    def visit_If(self, node: ast.If) -> None:
        if "TYPE_CHECKING" in self._source(node.test):
            return
        self._negate(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def _negate(self, test: ast.expr) -> None:
        self.add("negated condition", test, f"not ({self._source(test)})")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name in SKIPPED_FUNCTIONS:
            return
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self._default(default)
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._default(node.value) if isinstance(node.value, ast.Constant) else self.visit(node.value)

    def _default(self, node: ast.expr) -> None:
        for after in _other_constants(node):
            self.add("default", node, after)

    def visit_Compare(self, node: ast.Compare) -> None:
        if len(node.ops) == 1:
            left, right = self._source(node.left), self._source(node.comparators[0])
            for other in COMPARISONS[type(node.ops[0])]:
                self.add("comparison", node, f"({left}) {other} ({right})")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        word = " or " if isinstance(node.op, ast.And) else " and "
        self.add("and, or", node, "(" + word.join(f"({self._source(value)})" for value in node.values) + ")")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        texts = any(isinstance(side, ast.JoinedStr) or _is_text(side) for side in (node.left, node.right))
        if type(node.op) in ARITHMETIC and not texts:
            left, right = self._source(node.left), self._source(node.right)
            self.add("arithmetic", node, f"(({left}) {ARITHMETIC[type(node.op)]} ({right}))")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
            self.add("sign", node, f"({self._source(node.operand)})")
        if isinstance(node.op, ast.Not):
            self.add("negated condition", node, f"({self._source(node.operand)})")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        for after in _other_constants(node):
            self.add("constant", node, after)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and not isinstance(node.value, ast.Constant):
            self.add("return value", node, "return None")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        rest = self._source(node)[len(self._source(function)) :]
        stem = self._source(function)[: -len(name)] if name else ""
        if name in {"any", "all"}:
            self.add("any, all", node, stem + ("all" if name == "any" else "any") + rest)
        elif name in EXCHANGED and self._has_other(function, name, stem):
            self.add("exchanged name", node, stem + EXCHANGED[name] + rest)
        if name in DROPPED and isinstance(function, ast.Attribute):
            of_module = stem in MODULES and node.args
            inner = self._source(node.args[0]) if of_module else stem.rstrip().removesuffix(".")
            self.add("dropped call", node, f"({inner})")
        self._swap(node)
        self.generic_visit(node)

    @staticmethod
    def _has_other(function: ast.expr, name: str, stem: str) -> bool:
        """Whether the other name exists there as well: a change that ends in a NameError tells nothing."""
        if isinstance(function, ast.Name):
            return name in {"min", "max"}
        return stem in MODULES or name not in {"zeros", "ones"}

    def _swap(self, node: ast.Call) -> None:
        plain = [a for a in node.args if not isinstance(a, ast.Starred)]
        name = getattr(node.func, "id", "")
        if len(plain) == len(node.args) >= 2 and name not in {"isinstance", "getattr", "hasattr", "cast", "setattr"}:
            first, second = node.args[:2]
            start, end = self._span(first)[0], self._span(second)[1]
            between = self.text.encode()[self._span(first)[1] : self._span(second)[0]].decode()
            before = self.text.encode()[start:end].decode()
            after = self._source(second) + between + self._source(first)
            if after != before:
                self.changes.append(Change(self.file, node.lineno, start, end, "swapped arguments", before, after))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))


def _other_constants(node: ast.expr) -> Iterator[str]:
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, bool):
        yield str(not value)
    elif isinstance(value, int):
        yield str(value + 1)
        if value > 1:
            yield str(value - 1)
    elif isinstance(value, float):
        yield repr(value * 2) if value else "1.0"


def changes_of(file: str, text: str) -> list[Change]:
    """Every single change of one file, without repetitions."""
    finder = _Finder(file, text)
    finder.visit(ast.parse(text))
    return list({change.key: change for change in finder.changes}.values())


def enclosing(text: str) -> Callable[[int], tuple[int, int] | None]:
    """The lines (first, last) of the innermost function around a line, or None at the level of class or module."""
    tree = ast.parse(text)
    functions = [
        (node.body[0].lineno, node.end_lineno or node.lineno, node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]

    def around(line: int) -> tuple[int, int] | None:
        found = [(first, last) for first, last, head in functions if head <= line <= last]
        return max(found) if found else None

    return around
