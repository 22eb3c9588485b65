"""The objects of the org and their fields: one catalogue for describe, for SOQL and for the tables on disk."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from connectors.simulator.salesforce.catalogue import OBJECTS

_TEXT: Final = frozenset(["string", "textarea", "picklist", "email", "phone", "url", "anyType"])
_LENGTHS: Final = {"picklist": 255, "email": 80, "phone": 40, "url": 255, "id": 18, "reference": 18}
_SOAP: Final = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "address": "urn:address",
    "anyType": "xsd:anyType",
}
_SQL: Final = {
    "boolean": "INTEGER",
    "int": "INTEGER",
    "datetime": "INTEGER",  # epoch seconds
    "double": "REAL",
    "currency": "REAL",
    "percent": "REAL",
    "date": "TEXT",
    "id": "TEXT",
    "reference": "TEXT",
}


@dataclass(frozen=True)
class Field:
    """One field as describe tells it."""

    name: str
    type: str
    length: int = 0
    scale: int = 0
    refers_to: tuple[str, ...] = ()
    required: bool = False  # must be given on create
    defaulted: bool = False
    readonly: bool = False
    name_field: bool = False
    filterable: bool = True
    sortable: bool = True
    label: str = ""

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")

    @property
    def nillable(self) -> bool:
        always = self.type == "boolean" or self.name in _SYSTEM_NAMES or self.name_field
        return not (self.required or self.defaulted or always)

    @property
    def relationship(self) -> str | None:
        """The name a query uses to walk to the parent: Account for AccountId, Plan__r for Plan__c."""
        if self.type != "reference":
            return None
        return self.name.removesuffix("Id") if not self.custom else self.name.removesuffix("__c") + "__r"

    @property
    def text(self) -> bool:
        return self.type in _TEXT

    @property
    def column(self) -> str:
        """Its column on disk; '' when it is put together from others."""
        if self.type == "address":
            return ""
        kind = _SQL.get(self.type, "TEXT COLLATE NOCASE")
        return f'"{self.name}" {kind}'

    def describe(self, values: Iterable[str] = ()) -> dict[str, Any]:
        """The field's entry in a describe answer; ``values`` are those of its picklist."""
        number = self.type in ("double", "currency", "percent")
        writable = not self.readonly and self.name not in _SYSTEM_NAMES
        return {
            "aggregatable": self.type not in ("boolean", "address", "datetime") and self.filterable,
            "autoNumber": False,
            "byteLength": self.length * 3 if self.text else self.length,
            "calculated": False,
            "calculatedFormula": None,
            "compoundFieldName": _compound(self.name),
            "createable": writable,
            "custom": self.custom,
            "defaultValue": False if self.type == "boolean" else None,
            "defaultedOnCreate": self.defaulted or self.name in _SYSTEM_NAMES or self.type == "boolean",
            "dependentPicklist": False,
            "deprecatedAndHidden": False,
            "digits": 8 if self.type == "int" else 0,
            "externalId": False,
            "filterable": self.filterable,
            "groupable": self.type not in ("datetime", "address", *_NUMBERS) and self.filterable,
            "idLookup": self.type == "id" or self.type == "email",
            "label": self.label or _label(self.name),
            "length": self.length,
            "name": self.name,
            "nameField": self.name_field,
            "nillable": self.nillable,
            "permissionable": self.nillable,
            "picklistValues": [
                {"active": True, "defaultValue": False, "label": value, "validFor": None, "value": value}
                for value in values
            ],
            "polymorphicForeignKey": len(self.refers_to) > 1,
            "precision": 18 if number else 0,
            "referenceTo": list(self.refers_to),
            "relationshipName": self.relationship,
            "restrictedPicklist": False,
            "scale": self.scale,
            "soapType": _SOAP.get(self.type, "xsd:string"),
            "sortable": self.sortable,
            "type": self.type,
            "unique": False,
            "updateable": writable,
        }


@dataclass(frozen=True)
class Table:
    """One object: its fields by name and what describe says of it."""

    name: str
    fields: Mapping[str, Field]
    replicateable: bool
    undeletable: bool
    createable: bool
    _lower: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._lower.update({name.lower(): name for name in self.fields})

    def find(self, name: str) -> Field | None:
        """A field by name in any case, as SOQL allows."""
        exact = self._lower.get(name.lower())
        return self.fields[exact] if exact else None

    def parent(self, relationship: str) -> Field | None:
        """The reference field behind a relationship name, in any case."""
        wanted = relationship.lower()
        return next((f for f in self.fields.values() if (f.relationship or "").lower() == wanted), None)

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")

    def without(self, names: Collection[str]) -> Table:
        """The object as somebody sees it who may not see those fields."""
        kept = {name: spec for name, spec in self.fields.items() if name not in names}
        return replace(self, fields=kept, _lower={})

    def extended(self, extra: Iterable[Field]) -> Table:
        """The object with further fields."""
        return replace(self, fields={**self.fields, **{f.name: f for f in extra}}, _lower={})


_NUMBERS: Final = ("double", "currency", "percent")
_SYSTEM: Final = (
    Field("CreatedDate", "datetime", readonly=True),
    Field("CreatedById", "reference", 18, refers_to=("User",), readonly=True),
    Field("LastModifiedDate", "datetime", readonly=True),
    Field("LastModifiedById", "reference", 18, refers_to=("User",), readonly=True),
    Field("SystemModstamp", "datetime", readonly=True),
)
_SYSTEM_NAMES: Final = frozenset({"Id", "IsDeleted", *(f.name for f in _SYSTEM)})
_LINE: Final = re.compile(r"(\w+) (\w+)(?:\(([^)]*)\))?((?: \S+)*)")


def _label(name: str) -> str:
    words = name.removesuffix("__c").replace("_", " ")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", words)


def _compound(name: str) -> str | None:
    if name in ("FirstName", "LastName", "Salutation"):
        return "Name"
    if name.startswith("Billing") and name != "BillingAddress":
        return "BillingAddress"
    return None


def make_field(name: str, kind: str, argument: str = "", flags: Collection[str] = ()) -> Field:
    """A field from the words of the catalogue."""
    reference = kind == "ref"
    return Field(
        name,
        "reference" if reference else kind,
        length=int(argument) if argument.isdigit() and kind != "double" else _LENGTHS.get(kind, 0),
        scale=int(argument) if kind == "double" and argument else 2 if kind == "currency" else 0,
        refers_to=tuple(argument.split(",")) if reference else (),
        required="!" in flags,
        defaulted="=" in flags,
        readonly="readonly" in flags,
        name_field="name" in flags,
        filterable="long" not in flags,
        sortable="long" not in flags and "unsortable" not in flags,
    )


def _table(paragraph: str) -> Table:
    head, *lines = paragraph.strip().splitlines()
    name, *flags = head.split()
    fields = [Field("Id", "id", 18, readonly=True, defaulted=True)]
    if "undeleted" not in flags:
        fields.append(Field("IsDeleted", "boolean", readonly=True))
    for line in lines:
        match = _LINE.fullmatch(line.strip())
        assert match is not None, line  # noqa: S101  # the catalogue is ours
        fields.append(make_field(match[1], match[2], match[3] or "", match[4].split()))
    for system in _SYSTEM:
        if "unmodified" in flags and system.name.startswith("LastModified"):
            continue
        if "unstamped" in flags and system.name == "SystemModstamp":
            continue
        fields.append(system)
    return Table(
        name,
        {f.name: f for f in fields},
        replicateable="replicateable" in flags,
        undeletable="undeletable" in flags,
        createable="createable" in flags,
    )


CATALOGUE: Final[dict[str, Table]] = {
    table.name: table for table in map(_table, OBJECTS.strip().split("\n\n"))
}
