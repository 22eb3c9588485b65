"""From a SOQL query to SQL with bound values, refusing the fields and comparisons that Salesforce refuses."""
# ruff: noqa: S608  # statements are put together from the catalogue's names; values are bound

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, NoReturn
from typing import Literal as Choice

from connectors.simulator.clock import parse_instant
from connectors.simulator.salesforce.errors import ApiError, at
from connectors.simulator.salesforce.fields import Field, Table
from connectors.simulator.salesforce.ids import checked, valid
from connectors.simulator.salesforce.soql import (
    Comparison,
    Condition,
    Fields,
    Literal,
    Logic,
    Path,
    Query,
    unescaped,
)
from connectors.simulator.salesforce.store import column_sql, visible

Style = Choice["rest", "bulk"]
MOST_FIELDS_ROWS: Final = 200  # LIMIT that FIELDS(ALL) needs
_WANTED: Final = {  # field type -> literal kinds it is compared with
    "boolean": {"BOOLEAN"},
    "int": {"NUMBER"},
    "double": {"NUMBER"},
    "currency": {"NUMBER"},
    "percent": {"NUMBER"},
    "date": {"DATE"},
    "datetime": {"DATETIME"},
}
_SPOKEN: Final = {
    "int": "int",
    "double": "double",
    "currency": "double",
    "percent": "double",
    "datetime": "dateTime",
}
# Salesforce promises no order where none is asked for, so ours is none that anybody could rely on.
_ANY_ORDER: Final = "(t._key % 4194304) * 2654435761 & 4294967295, t._key"
_INSTANT: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)")


@dataclass(frozen=True)
class Column:
    """One selected value: its path as the catalogue spells it, and its field."""

    path: tuple[str, ...]
    field: Field


@dataclass
class Compiled:
    """A query ready to run. ``keys`` gives the records' numbers in order, ``page`` the values of some of them."""

    table: Table
    columns: list[Column]
    count: bool
    keys: str
    parameters: list[Any]
    page: str  # takes one parameter, a JSON array of numbers; gives the columns, the parents' ids, the own id
    parents: dict[tuple[str, ...], str]  # relationship path -> object


class Compiler:
    """Compiles queries against the objects and fields that one user may see at one moment."""

    def __init__(self, tables: Mapping[str, Table], now: int, *, everything: bool, style: Style) -> None:
        self._tables = tables
        self._lower = {name.lower(): name for name in tables}
        self._now = now
        self._everything = everything
        self._style = style

    def compile(self, query: Query) -> Compiled:
        """``ApiError`` for whatever the query may not ask."""
        name = self._lower.get(query.entity.lower())
        if name is None:
            raise at(
                query.text,
                query.entity_position,
                "INVALID_TYPE",
                f"sObject type '{query.entity}' is not supported. If you are attempting to use a custom object, be"
                " sure to append the '__c' after the entity name. Please reference your WSDL or the describe call"
                " for the appropriate names.",
            )
        return _One(
            self._tables, self._tables[name], query, self._now, self._everything, self._style
        ).compile()


class _One:
    """The compilation of one query: collects joins and parameters on the way."""

    def __init__(
        self,
        tables: Mapping[str, Table],
        table: Table,
        query: Query,
        now: int,
        everything: bool,
        style: Style,
    ) -> None:
        self.tables = tables
        self.table = table
        self.query = query
        self.now = now
        self.everything = everything
        self.style = style
        self.joins: dict[tuple[str, ...], tuple[str, str, str]] = {}  # path -> (alias, object, SQL)
        self.parameters: list[Any] = []

    def compile(self) -> Compiled:
        query = self.query
        columns = self._columns()
        if self.style == "bulk":
            self._refuse_for_bulk(columns)
        conditions = [visible(self.table, self.now, everything=self.everything)]
        if query.where is not None:
            conditions.append(self._condition(query.where))
        order = ", ".join(self._sorting(s.path, s.descending, s.nulls_last) for s in query.order)
        filter_joins = " ".join(sql for _, _, sql in self.joins.values())
        limit = -1 if query.limit is None else query.limit
        keys = f'SELECT t._key FROM "{self.table.name}" t {filter_joins} WHERE {" AND ".join(conditions)}'
        keys += f" ORDER BY {order or _ANY_ORDER} LIMIT {limit} OFFSET {query.offset}"
        expressions = [self._expression(column) for column in columns]
        parents = self._parents(columns)
        for path in parents:
            alias = self._join(path)
            expressions.append(f"{alias}.Id")
        page_joins = " ".join(sql for _, _, sql in self.joins.values())
        page = (
            f"SELECT {', '.join([*expressions, 't.Id'])} FROM json_each(?) j"
            f' CROSS JOIN "{self.table.name}" t ON t._key = j.value {page_joins} ORDER BY j.key'
        )
        return Compiled(
            self.table,
            columns,
            not query.items,
            keys,
            self.parameters,
            page,
            {path: self.joins[path][1] for path in parents},
        )

    # what is selected

    def _columns(self) -> list[Column]:
        columns: list[Column] = []
        seen: set[tuple[str, ...]] = set()
        for item in self.query.items:
            paths = self._expand(item) if isinstance(item, Fields) else [item]
            for path in paths:
                _, spec, names = self._resolve(path)
                if names in seen:
                    self._fail(path.position, f"duplicate field selected: {path.names[-1]}")
                seen.add(names)
                columns.append(Column(names, spec))
        return columns

    def _expand(self, item: Fields) -> list[Path]:
        if item.which not in ("ALL", "STANDARD", "CUSTOM"):
            raise at(self.query.text, item.position, "MALFORMED_QUERY", f"unexpected token: '{item.which}'")
        unbounded = item.which != "STANDARD"
        if unbounded and (
            self.style == "bulk" or (self.query.limit or MOST_FIELDS_ROWS + 1) > MOST_FIELDS_ROWS
        ):
            raise ApiError(
                "MALFORMED_QUERY",
                f"The SOQL FIELDS function must have a LIMIT of at most {MOST_FIELDS_ROWS}",
            )
        wanted = [
            f
            for f in self.table.fields.values()
            if item.which == "ALL" or f.custom == (item.which == "CUSTOM")
        ]
        return [Path((f.name,), item.position) for f in wanted]

    def _refuse_for_bulk(self, columns: list[Column]) -> None:
        if not self.query.items or self.query.offset:
            raise ApiError("API_ERROR", "Aggregate and OFFSET queries are not supported by the Bulk API")
        if any(column.field.type == "address" for column in columns):
            raise ApiError("API_ERROR", "Selecting compound data not supported in Bulk Query")

    def _parents(self, columns: list[Column]) -> list[tuple[str, ...]]:
        found: dict[tuple[str, ...], None] = {}
        for column in columns:
            for depth in range(1, len(column.path)):
                found[column.path[:depth]] = None
        return list(found)

    def _resolve(self, path: Path) -> tuple[Table, Field, tuple[str, ...]]:
        """The object and field a path ends at, and the path as the catalogue spells it."""
        table, spelled = self.table, []
        for relationship in path.names[:-1]:
            reference = table.parent(relationship)
            parent = self.tables.get(reference.refers_to[0]) if reference else None
            if reference is None or parent is None or len(reference.refers_to) > 1:
                self._fail(
                    path.position,
                    f"Didn't understand relationship '{relationship}' in field path. If you are attempting to use"
                    " a custom relationship, be sure to append the '__r' after the custom relationship name."
                    " Please reference your WSDL or the describe call for the appropriate names.",
                )
            spelled.append(reference.relationship or "")
            table = parent
        spec = table.find(path.names[-1])
        if spec is None:
            self._fail(
                path.position,
                f"No such column '{path.names[-1]}' on entity '{table.name}'. If you are attempting to use a custom"
                " field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the"
                " describe call for the appropriate names.",
            )
        return table, spec, (*spelled, spec.name)

    def _join(self, path: tuple[str, ...]) -> str:
        """The alias of a parent, joined on first use; '' is the object itself."""
        if not path:
            return "t"
        if path not in self.joins:
            above = self._join(path[:-1])
            table = self.tables[self.joins[path[:-1]][1]] if path[:-1] else self.table
            reference = table.parent(path[-1])
            assert reference is not None  # noqa: S101  # _resolve found it
            target, alias = reference.refers_to[0], f"p{len(self.joins)}"
            sql = f'LEFT JOIN "{target}" {alias} ON {alias}.Id = {above}."{reference.name}"'
            self.joins[path] = (alias, target, sql)
        return self.joins[path][0]

    def _value(self, names: tuple[str, ...], table: str, spec: Field) -> str:
        return column_sql(table, spec.name, self._join(names[:-1]), self.now)

    def _expression(self, column: Column) -> str:
        """What to select for a column: instants as text, an address as JSON."""
        alias = self._join(column.path[:-1])
        if column.field.type == "address":
            return (
                f"json_object('city', {alias}.BillingCity, 'country', {alias}.BillingCountry, 'postalCode',"
                f" {alias}.BillingPostalCode, 'state', {alias}.BillingState, 'street', {alias}.BillingStreet)"
            )
        table = self.joins[column.path[:-1]][1] if column.path[:-1] else self.table.name
        value = self._value(column.path, table, column.field)
        if column.field.type == "datetime":
            zone = "+0000" if self.style == "rest" else "Z"
            return f"strftime('%Y-%m-%dT%H:%M:%S.000{zone}', {value}, 'unixepoch')"
        return value

    # what is asked for

    def _condition(self, condition: Condition) -> str:
        if isinstance(condition, Comparison):
            return self._comparison(condition)
        return self._logic(condition)

    def _logic(self, logic: Logic) -> str:
        parts = [self._condition(part) for part in logic.parts]
        if logic.word == "NOT":
            return f"NOT coalesce(({parts[0]}), 0)"
        return "(" + f" {logic.word} ".join(parts) + ")"

    def _comparison(self, comparison: Comparison) -> str:
        table, spec, names = self._resolve(comparison.path)
        position = comparison.path.position
        if not spec.filterable:
            self._fail(position, f"field '{spec.name}' can not be filtered in a query call")
        if spec.type == "address":
            self._fail(position, f"field '{spec.name}' can not be filtered in a query call")
        value = self._value(names, table.name, spec)
        operator = comparison.operator
        if operator == "LIKE":
            return self._like(spec, value, comparison)
        bound = [self._bound(spec, literal, comparison) for literal in comparison.values]
        if operator in ("IN", "NOT IN"):
            return self._membership(value, operator, bound)
        if bound[0] is None:
            if operator not in ("=", "!="):
                self._wrong_operator(position, spec.name)
            return f"{value} IS {'NOT ' if operator == '!=' else ''}NULL"
        if spec.type == "boolean" and operator not in ("=", "!="):
            self._wrong_operator(position, spec.name)
        self.parameters.append(bound[0])
        if operator == "!=":
            return f"{value} IS NOT ?"
        return f"{value} {operator} ?"

    def _like(self, spec: Field, value: str, comparison: Comparison) -> str:
        literal = comparison.values[0]
        if not spec.text or literal.kind != "STRING":
            self._wrong_operator(comparison.path.position, spec.name)
        self.parameters.append(unescaped(literal.text, literal.position, pattern=True))
        return f"{value} LIKE ? ESCAPE '\\'"

    def _membership(self, value: str, operator: str, bound: list[Any]) -> str:
        known = [item for item in bound if item is not None]
        self.parameters.extend(known)
        clauses = [f"{value} IN ({', '.join('?' * len(known))})"] if known else []
        if None in bound:
            clauses.append(f"{value} IS NULL")
        sql = "(" + " OR ".join(clauses) + ")"
        return f"NOT coalesce({sql}, 0)" if operator == "NOT IN" else sql

    def _bound(self, spec: Field, literal: Literal, comparison: Comparison) -> Any:
        """The value to bind for a literal, which must be of the field's kind."""
        if literal.kind == "NULL":
            return None
        wanted = _WANTED.get(spec.type, {"STRING"})
        if literal.kind not in wanted:
            quoted = "should be enclosed" if "STRING" in wanted else "should not be enclosed"
            spoken = _SPOKEN.get(spec.type, "string" if "STRING" in wanted else spec.type)
            self._fail(
                comparison.path.position,
                f"value of filter criterion for field '{spec.name}' must be of type {spoken} and {quoted} in quotes",
            )
        if literal.kind == "STRING":
            return self._text(spec, literal, comparison)
        if literal.kind == "BOOLEAN":
            return int(literal.text.lower() == "true")
        if literal.kind == "NUMBER":
            return float(literal.text) if "." in literal.text else int(literal.text)
        try:
            if literal.kind == "DATE":
                return date.fromisoformat(literal.text).isoformat()
            match = _INSTANT.fullmatch(literal.text)
            return parse_instant(match[1] + match[2]) if match else None  # milliseconds are ignored
        except ValueError:
            self._fail(literal.position, f"Invalid {literal.kind.lower()}: {literal.text}", "MALFORMED_QUERY")

    def _text(self, spec: Field, literal: Literal, comparison: Comparison) -> str:
        text = unescaped(literal.text, literal.position, pattern=False)
        if spec.type not in ("id", "reference"):
            return text
        if not valid(text):
            self._fail(comparison.path.position, f"invalid ID field: {text}", "INVALID_QUERY_FILTER_OPERATOR")
        return checked(text[:15])

    def _sorting(self, path: Path, descending: bool, nulls_last: bool) -> str:
        table, spec, names = self._resolve(path)
        if not spec.sortable:
            self._fail(path.position, f"field '{spec.name}' can not be sorted in a query call")
        value = self._value(names, table.name, spec)
        direction = "DESC" if descending else "ASC"
        default = descending == nulls_last  # SQLite's own place for nulls: first ascending, last descending
        return f"{value} {direction}" + ("" if default else f" NULLS {'LAST' if nulls_last else 'FIRST'}")

    def _wrong_operator(self, position: int, name: str) -> NoReturn:
        self._fail(position, f"invalid operator on field '{name}'", "INVALID_QUERY_FILTER_OPERATOR")

    def _fail(self, position: int, text: str, code: str = "INVALID_FIELD") -> NoReturn:
        raise at(self.query.text, position, code, text)
