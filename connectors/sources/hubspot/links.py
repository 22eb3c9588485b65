"""Which records a record is associated with, and which one of them it belongs to.

A listing tells associations without their types, so where several compete for being the primary one they are
asked for properly. What was deleted has lost its associations; a property may still name the primary one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectors.sources.hubspot.mapping import PRIMARY, PRIMARY_PROPERTY, ObjectMap
from connectors.sources.hubspot.parse import Record, ids
from connectors.sources.hubspot.reader import Association, Reader, Want

Ends = Mapping[str, Sequence[Association]]  # record id -> what it is associated with


class Links:
    """Associations of the records of one object type."""

    def __init__(self, about: ObjectMap, reader: Reader) -> None:
        self._about = about
        self._reader = reader

    def ends(self, records: Sequence[Record], target: str) -> Ends:
        """What the records are associated with: from their listing where that says it all, else asked for."""
        listed = inline(records, target)
        unclear = [str(record["id"]) for record in records if not self._clear(record, listed, target)]
        if not unclear:
            return listed
        asked = self._reader.associations(self._about.name, target, unclear)
        return {**listed, **{each: asked.get(each, []) for each in unclear}}

    def _clear(self, record: Record, listed: Ends, target: str) -> bool:
        """Whether the listing told everything: it was a listing, its associations fit, and none competes."""
        if "associations" not in record:
            return False
        told = record["associations"].get(target) or {}
        if (told.get("paging") or {}).get("next"):
            return False
        return (self._about.name, target) not in PRIMARY or len(listed[str(record["id"])]) <= 1

    def chosen(self, records: Sequence[Record], target: str, ends: Ends) -> dict[str, str]:
        """Record id -> the one associated record: the primary one, else the lowest id."""
        primary = PRIMARY.get((self._about.name, target))
        chosen = {each: pick(found, primary) for each, found in ends.items() if found}
        remembered = PRIMARY_PROPERTY.get(self._about.name, {}).get(target)
        if remembered:
            for record in records:
                kept = record["properties"].get(remembered)
                if record.get("archived") and kept:
                    chosen.setdefault(str(record["id"]), str(kept))
        return chosen

    def lost(self, record: Record) -> bool:
        """Whether a deleted record has associations that nothing tells any more."""
        told = record.get("associations") or {}
        kept = PRIMARY_PROPERTY.get(self._about.name, {})
        return any(
            target not in told and not record["properties"].get(kept.get(target, ""))
            for target in self._about.links
        )

    def earliest_deal(self, leads: Sequence[Record], ends: Ends) -> dict[str, str]:
        """The deal each lead became: of several associated ones, the first that was created."""
        several = {each: ends[each] for each in ids(leads) if len(ends.get(each, ())) > 1}
        wanted = dict.fromkeys(deal.id for found in several.values() for deal in found)
        created = {
            str(deal["id"]): str(deal["properties"].get("createdate") or deal.get("createdAt") or "~")
            for deal in self._reader.batch(Want("deals", ("createdate",)), wanted)
        }
        first = {each: found[0].id for each, found in ends.items() if found}
        for each, found in several.items():
            first[each] = min(
                (deal.id for deal in found), key=lambda deal: (created.get(deal, "~"), int(deal))
            )
        return first


def inline(records: Sequence[Record], target: str) -> dict[str, list[Association]]:
    """The associations that came with a listing, each record once though it is listed per association type."""
    found: dict[str, list[Association]] = {}
    for record in records:
        listed = ((record.get("associations") or {}).get(target) or {}).get("results") or ()
        once = dict.fromkeys(str(each["id"]) for each in listed)
        found[str(record["id"])] = [Association(each, frozenset()) for each in once]
    return found


def pick(found: Sequence[Association], primary: int | None) -> str:
    """Of several associated records the primary one, else the only one, else the lowest id."""
    labelled = [each.id for each in found if primary is not None and primary in each.types]
    return min(labelled or [each.id for each in found], key=int)
