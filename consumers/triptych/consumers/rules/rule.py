"""Rules over results: `speech > .5 and 'dog' in visual`. No I/O.

    rule = Rule("speech > .5 and 'dog' in visual")
    alarms = (result for result in subscriber.results() if rule.matches(result))

The language is the subset of Python's expressions listed in `_ALLOWED_NODES`: names from `RULE_NAMES`, numbers, text,
comparisons, `in`, `and or not`, the four operations, parentheses. Everything else, such as calls and attributes, is
rejected when the rule is created, before anything is evaluated. simpleeval evaluates the rule, never Python itself.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NoReturn

from simpleeval import EvalWithCompoundTypes

from triptych.consumers.rules.names import RULE_NAMES, RuleValue, examples, values_of
from triptych.consumers.rules.numbers import LabelNumbers
from triptych.consumers.rules.phrases import Heads, Phrases
from triptych.consumers.rules.prompt_numbers import PromptNumbers
from triptych.schemas.errors import UsageError
from triptych.schemas.results import Result

_MAX_CHARACTERS: Final = 1_000
_MAX_DEPTH: Final = 40
_ALLOWED_NODES: Final = (
    *(ast.Expression, ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.List, ast.Subscript),
    *(ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd),
    *(ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot),
    *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div),
)
_LANGUAGE: Final = "names, numbers, 'texts', comparisons, in, and, or, not, + - * / and parentheses"

_CONTAINERS: Final = (Phrases, Heads, LabelNumbers, PromptNumbers)

_Binary = Callable[[object, object], object]


def _comparison(compare: Callable[[float, float], bool]) -> _Binary:
    """Compare numbers. A missing value is neither larger nor smaller than anything."""

    def ordered(left: object, right: object) -> bool:
        if left is None or right is None:
            return False
        return compare(_number(left), _number(right))

    return ordered


def _arithmetic(calculate: Callable[[float, float], float]) -> _Binary:
    """Calculate with numbers. The outcome is None for a missing value, and for a division by zero."""

    def calculated(left: object, right: object) -> float | None:
        if left is None or right is None:
            return None
        try:
            return calculate(_number(left), _number(right))
        except (ZeroDivisionError, OverflowError):
            return None

    return calculated


def _sign(calculate: Callable[[float], float]) -> Callable[[object], float | None]:
    return lambda value: None if value is None else calculate(_number(value))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number")
    return value


def _equals(left: object, right: object) -> bool:
    if isinstance(left, _CONTAINERS) or isinstance(right, _CONTAINERS):
        raise TypeError("labels or words after in: 'dog' in visual, visual['dog'] > .5")
    return left == right


def _contains(item: object, container: object) -> bool:
    match container:
        case tuple() | list():
            return any(_equals(item, known) for known in container)
        case Phrases() | Heads() | LabelNumbers() | PromptNumbers():
            return item in container
        case None if item is None or isinstance(item, str):
            return False
        case str() if item is None or isinstance(item, str):
            return item is not None and item in container
    raise TypeError("'text' in labels or words, or a value in (a, list)")


_OPERATORS: Final = {
    ast.Lt: _comparison(operator.lt),
    ast.LtE: _comparison(operator.le),
    ast.Gt: _comparison(operator.gt),
    ast.GtE: _comparison(operator.ge),
    ast.Eq: _equals,
    ast.Is: _equals,
    ast.NotEq: lambda left, right: not _equals(left, right),
    ast.IsNot: lambda left, right: not _equals(left, right),
    ast.In: _contains,
    ast.NotIn: lambda left, right: not _contains(left, right),
    ast.Add: _arithmetic(operator.add),
    ast.Sub: _arithmetic(operator.sub),
    ast.Mult: _arithmetic(operator.mul),
    ast.Div: _arithmetic(operator.truediv),
    ast.USub: _sign(operator.neg),
    ast.UAdd: _sign(operator.pos),
    ast.Not: operator.not_,
}


class _Evaluator(EvalWithCompoundTypes):  # type: ignore[misc] # simpleeval has no types
    """simpleeval's evaluator, except that `and` and `or` return a boolean, so each node has one type."""

    def _eval_boolop(self, node: ast.BoolOp) -> bool:
        return bool(super()._eval_boolop(node))

    def _eval_subscript(self, node: ast.Subscript) -> object:
        container, key = self._eval(node.value), self._eval(node.slice)
        if not isinstance(container, _CONTAINERS):
            raise TypeError("labels, words, counts or matches before the bracket: visual['dog']")
        return container[key]


class Rule:
    """A condition on a result."""

    def __init__(self, expression: str) -> None:
        """Parse the rule and check its types. Raises `UsageError` with the position of a mistake."""
        self.expression: Final = expression.strip().replace("\n", " ")
        self._root: Final = self._parse()
        for node in self._allowed_nodes(self._root, 0):
            self._check_types(node)

    def __str__(self) -> str:
        return self.expression

    @property
    def names(self) -> frozenset[str]:
        """The names of a result that the rule uses."""
        return frozenset(node.id for node in ast.walk(self._root) if isinstance(node, ast.Name))

    def matches(self, result: Result) -> bool:
        """Return whether the result satisfies the rule."""
        return bool(self._evaluate(self._root, values_of(result)))

    def _parse(self) -> ast.expr:
        if not self.expression:
            raise UsageError(
                f"where: expected a condition such as speech > .5, got none; a condition consists of {_LANGUAGE}"
            )
        if len(self.expression) > _MAX_CHARACTERS:
            raise UsageError(f"where: expected at most {_MAX_CHARACTERS} characters, got {len(self.expression)}")
        try:
            return ast.parse(self.expression, mode="eval").body
        except SyntaxError as error:
            raise UsageError(f"where, column {error.offset or len(self.expression) + 1}: {error.msg}") from None
        except (ValueError, MemoryError, RecursionError):
            raise UsageError(f"where: expected a condition of {_LANGUAGE}, got {self.expression!r}") from None

    def _allowed_nodes(self, node: ast.AST, depth: int) -> Iterator[ast.expr]:
        """Reject nodes outside the language; yield its expressions, inner ones first."""
        if depth > _MAX_DEPTH:
            raise UsageError(f"where: expected at most {_MAX_DEPTH} levels of parentheses and operators, got more")
        if not isinstance(node, _ALLOWED_NODES):
            self._reject(node, f"only {_LANGUAGE}")
        if isinstance(node, ast.Name) and node.id not in RULE_NAMES:
            self._reject(node, "a name of a result", _nearest(node.id))
        if isinstance(node, ast.Constant) and not isinstance(node.value, str | int | float | None):
            self._reject(node, "a number, 'text', True, False or None")
        for part in ast.iter_child_nodes(node):
            yield from self._allowed_nodes(part, depth + 1)
        if isinstance(node, ast.expr):
            yield node

    def _check_types(self, node: ast.expr) -> None:
        """Evaluate a node with an example of each name, to find wrong types before the first match."""
        try:
            self._evaluate(node, examples())
        except TypeError as error:
            self._reject(node, str(error))

    def _evaluate(self, node: ast.expr, values: Mapping[str, RuleValue]) -> object:
        return _Evaluator(operators=_OPERATORS, functions={}, names=values).eval(
            self.expression, previously_parsed=node
        )

    def _reject(self, node: ast.AST, expected: str, hint: str = "") -> NoReturn:
        segment = ast.get_source_segment(self.expression, node) or self.expression
        before = self.expression.encode()[: getattr(node, "col_offset", 0)].decode(errors="ignore")
        raise UsageError(f"where, column {len(before) + 1}: expected {expected}, got {segment!r}{hint}")


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name, RULE_NAMES, n=1)
    return f"; did you mean {close[0]}?" if close else f"; the names are {', '.join(RULE_NAMES)}"
