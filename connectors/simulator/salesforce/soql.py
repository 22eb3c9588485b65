"""SOQL: the grammar and the tree it is read into. Refuses what Salesforce refuses, pointing at the place.

As in Salesforce, AND and OR mix only with parentheses, NOT stands before a whole condition, and dates,
instants, numbers, booleans and null are not quoted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError

from connectors.simulator.salesforce.errors import ApiError, at

LONGEST: Final = 100_000  # characters of a query
LONGEST_STRING: Final = 4_000  # characters of one text in WHERE
MOST_OFFSET: Final = 2_000

_GRAMMAR: Final = r"""
query: SELECT selection FROM NAME [where] [order] [limit] [offset]
?selection: count | items
count: COUNT "(" ")"
items: item ("," item)*
?item: path | fields
fields: FIELDS "(" NAME ")"
path: NAME ("." NAME)*

where: WHERE condition
?condition: simple | all_of | any_of | negation
all_of: simple (AND simple)+
any_of: simple (OR simple)+
negation: NOT simple
?simple: "(" condition ")" | comparison
comparison: path OPERATOR literal
          | path LIKE literal -> like
          | path IN "(" literal ("," literal)* ")" -> is_in
          | path NOT IN "(" literal ("," literal)* ")" -> not_in
literal: STRING | DATETIME | DATE | NUMBER | BOOLEAN | NULL

order: ORDER_BY sorting ("," sorting)*
sorting: path [DIRECTION] [NULLS]
limit: LIMIT NUMBER
offset: OFFSET NUMBER

SELECT.3: /select\b/i
FROM.3: /from\b/i
WHERE.3: /where\b/i
AND.3: /and\b/i
OR.3: /or\b/i
NOT.3: /not\b/i
IN.3: /in\b/i
LIKE.3: /like\b/i
LIMIT.3: /limit\b/i
OFFSET.3: /offset\b/i
ORDER_BY.3: /order\s+by\b/i
DIRECTION.3: /(asc|desc)\b/i
NULLS.3: /nulls\s+(first|last)\b/i
BOOLEAN.3: /(true|false)\b/i
NULL.3: /null\b/i
COUNT.4: /count(?=\s*\(\s*\))/i
FIELDS.4: /fields(?=\s*\()/i
DATETIME.3: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)/
DATE.2: /\d{4}-\d\d-\d\d(?![T\d])/
NUMBER.1: /[+-]?\d+(\.\d+)?(?![\w-])/
STRING: /'(?:[^'\\]|\\.)*'/s
OPERATOR: "<=" | ">=" | "!=" | "<>" | "=" | "<" | ">"
NAME: /(?!(?:select|from|where|and|or|not|in|like|limit|offset|true|false|null)\b)[A-Za-z_]\w*/i
%ignore /\s+/
"""
_PARSER: Final = Lark(_GRAMMAR, start="query", parser="lalr")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ELSEWHERE: Final = re.compile(r"group|having|for|with|using|typeof|all|update", re.IGNORECASE)


@dataclass(frozen=True)
class Path:
    """A field, possibly of a parent: ``("Product2", "Family")``. ``position`` is its place in the text."""

    names: tuple[str, ...]
    position: int


@dataclass(frozen=True)
class Fields:
    """``FIELDS(ALL)``, ``FIELDS(STANDARD)`` or ``FIELDS(CUSTOM)``."""

    which: str
    position: int


@dataclass(frozen=True)
class Literal:
    """A value as written; ``kind`` is STRING, DATETIME, DATE, NUMBER, BOOLEAN or NULL."""

    kind: str
    text: str
    position: int


@dataclass(frozen=True)
class Comparison:
    """``path operator values``; the operator is a sign, LIKE, IN or NOT IN."""

    path: Path
    operator: str
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class Logic:
    """Conditions joined by AND or OR, or one under NOT."""

    word: str
    parts: tuple[Condition, ...]


Condition = Comparison | Logic


@dataclass(frozen=True)
class Sorting:
    """One term of ORDER BY."""

    path: Path
    descending: bool
    nulls_last: bool


@dataclass(frozen=True)
class Query:
    """A query as written. ``items`` is empty for ``COUNT()``."""

    text: str
    items: tuple[Path | Fields, ...]
    entity: str
    entity_position: int
    where: Condition | None
    order: tuple[Sorting, ...]
    limit: int | None
    offset: int


@lru_cache(maxsize=256)
def parse(text: str) -> Query:
    """Read a query; ``ApiError`` as Salesforce words it."""
    if len(text) > LONGEST:
        raise ApiError("MALFORMED_QUERY", f"SOQL statements cannot be longer than {LONGEST} characters.")
    try:
        tree = _PARSER.parse(text)
    except UnexpectedInput as error:
        raise _refusal(text, error) from error
    try:
        return cast(Query, _Reader(text).transform(tree))
    except VisitError as error:
        raise error.orig_exc from None


def _refusal(text: str, error: UnexpectedInput) -> ApiError:
    position = error.pos_in_stream or 0
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return ApiError("MALFORMED_QUERY", "unexpected token: '<EOF>'")
    if isinstance(error, UnexpectedCharacters) and text[position] == "'":
        return at(
            text,
            position,
            "MALFORMED_QUERY",
            f"line 1:{position} mismatched character '<EOF>' expecting '''",
        )
    word = re.compile(r"\w+|\S").match(text, position)
    token = word[0] if word else "<EOF>"
    if _ELSEWHERE.fullmatch(token):
        return at(
            text, position, "MALFORMED_QUERY", f"unexpected token: '{token}' (the simulator does not know it)"
        )
    return at(text, position, "MALFORMED_QUERY", f"unexpected token: '{token}'")


def unescaped(text: str, position: int, *, pattern: bool) -> str:
    """The value of a quoted text. A LIKE pattern keeps ``\\%`` and ``\\_`` for the comparison."""

    def character(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) == 5:
            return chr(int(code[1:], 16))
        if code in "%_" and pattern:
            return match[0]
        found = _ESCAPES.get(code.lower() if code.isalpha() else code)
        if found is None:
            raise ApiError("MALFORMED_QUERY", f"line 1:{position} no viable alternative at character '\\'")
        return found + found if pattern and found == "\\" else found

    return _ESCAPE.sub(character, text[1:-1])


class _Reader(Transformer[Token, Any]):
    """Turns the parser's tree into ours."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def path(self, names: list[Token]) -> Path:
        return Path(tuple(map(str, names)), _start(names[0]))

    def fields(self, parts: list[Token]) -> Fields:
        return Fields(str(parts[1]).upper(), _start(parts[0]))

    def count(self, parts: list[Token]) -> tuple[()]:
        return ()

    def items(self, parts: list[Path | Fields]) -> tuple[Path | Fields, ...]:
        return tuple(parts)

    def literal(self, parts: list[Token]) -> Literal:
        token = parts[0]
        if token.type == "STRING" and len(token) - 2 > LONGEST_STRING:
            raise at(
                self._text,
                _start(token),
                "MALFORMED_QUERY",
                f"a text in the WHERE clause is longer than {LONGEST_STRING} characters",
            )
        return Literal(token.type, str(token), _start(token))

    def comparison(self, parts: list[Any]) -> Comparison:
        path, operator, literal = parts
        return Comparison(path, "!=" if operator == "<>" else str(operator), (literal,))

    def like(self, parts: list[Any]) -> Comparison:
        return Comparison(parts[0], "LIKE", (parts[2],))

    def is_in(self, parts: list[Any]) -> Comparison:
        return Comparison(parts[0], "IN", tuple(p for p in parts[1:] if isinstance(p, Literal)))

    def not_in(self, parts: list[Any]) -> Comparison:
        return Comparison(parts[0], "NOT IN", tuple(p for p in parts[1:] if isinstance(p, Literal)))

    def all_of(self, parts: list[Any]) -> Logic:
        return Logic("AND", tuple(p for p in parts if not isinstance(p, Token)))

    def any_of(self, parts: list[Any]) -> Logic:
        return Logic("OR", tuple(p for p in parts if not isinstance(p, Token)))

    def negation(self, parts: list[Any]) -> Logic:
        return Logic("NOT", (parts[1],))

    def where(self, parts: list[Any]) -> Condition:
        return cast(Condition, parts[1])

    def sorting(self, parts: list[Any]) -> Sorting:
        path, direction, nulls = parts
        return Sorting(path, (direction or "").lower() == "desc", (nulls or "").lower().endswith("last"))

    def order(self, parts: list[Any]) -> tuple[Sorting, ...]:
        return tuple(parts[1:])

    def limit(self, parts: list[Token]) -> int:
        return self._whole(parts[1])

    def offset(self, parts: list[Token]) -> int:
        number = self._whole(parts[1])
        if number > MOST_OFFSET:
            raise ApiError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {MOST_OFFSET}")
        return number

    def query(self, parts: list[Any]) -> Query:
        _, items, _, entity, where, order, limit, offset = parts
        chosen = items if isinstance(items, tuple) else (items,)
        return Query(self._text, chosen, str(entity), _start(entity), where, order or (), limit, offset or 0)

    def _whole(self, token: Token) -> int:
        if not token.isdigit():
            raise at(self._text, _start(token), "MALFORMED_QUERY", f"unexpected token: '{token}'")
        return int(token)


def _start(token: Token) -> int:
    return token.start_pos or 0
