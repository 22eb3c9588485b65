"""Kinds of columns, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

from sqlalchemy import BigInteger, Boolean, Date, Double, Numeric, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import DateTime, TypeDecorator, TypeEngine
from sqlmodel import Field


class Instant(TypeDecorator[datetime]):
    """A moment in UTC: timestamp with time zone on PostgreSQL, text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the store takes instants with a time zone only")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ExactDecimal(TypeDecorator[Decimal]):
    """An exact rate: numeric(38, 12) on PostgreSQL, decimal text on SQLite (which has no exact type)."""

    impl = Numeric(38, 12)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric(38, 12))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


_NO_SERIAL: Final = {"autoincrement": False}

Key = Annotated[str, Field(primary_key=True, sa_type=Text)]
KeyInstant = Annotated[datetime, Field(primary_key=True, sa_type=Instant)]
KeyDay = Annotated[date, Field(primary_key=True, sa_type=Date)]
KeyNumber = Annotated[int, Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs=_NO_SERIAL)]
Words = Annotated[str | None, Field(default=None, sa_type=Text)]
Reference = Annotated[str | None, Field(default=None, sa_type=Text)]  # the id of another record
Whole = Annotated[int | None, Field(default=None, sa_type=BigInteger)]
Money = Annotated[int | None, Field(default=None, sa_type=BigInteger)]  # minor units
Real = Annotated[float | None, Field(default=None, sa_type=Double)]
Flag = Annotated[bool | None, Field(default=None, sa_type=Boolean)]
Day = Annotated[date | None, Field(default=None, sa_type=Date)]
Moment = Annotated[datetime | None, Field(default=None, sa_type=Instant)]
SomeText = Annotated[str, Field(nullable=False, sa_type=Text)]
SomeMoment = Annotated[datetime, Field(nullable=False, sa_type=Instant)]
SomeFlag = Annotated[bool, Field(nullable=False, sa_type=Boolean)]
Count = Annotated[int, Field(nullable=False, sa_type=BigInteger)]
