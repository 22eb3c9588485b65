"""Records to read again though their own last-modified time stays: what they are associated with changed.

HubSpot stamps a record when a property of its own is written, not when an association of it comes or goes.
Two such changes show elsewhere and are followed here. A merge gives the survivor a new id: everything
associated with it is read again. A deal that is created or changed may be what a contact became: the
contacts associated with it are read again.

What stays unseen until a complete pass is an association between two records neither of which was stamped
(an old deal moved to another old company), and one that HubSpot dropped because the other end was deleted:
the row then still names the deleted record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectors.sources.hubspot.mapping import MERGED_IDS, OBJECTS, ObjectMap
from connectors.sources.hubspot.reader import Reader, Window, milliseconds


class Neighbours:
    """Finds such records of ``about``.

    ``parents``: of the object types it is associated with, those whose records can be merged. ``stamped``:
    those of which every created or changed record is followed, which a survivor of a merge is as well.
    """

    def __init__(
        self, about: ObjectMap, reader: Reader, parents: Sequence[str] = (), stamped: Sequence[str] = ()
    ) -> None:
        self._about = about
        self._reader = reader
        self._parents = [target for target in parents if target not in stamped]
        self._stamped = stamped

    def touched(self, window: Window) -> list[str]:
        """The ids of the records of this type to read again, each once; ``window`` is the pass's own.

        Costs one search for every type in ``parents`` or ``stamped``: contacts cost one of companies and one
        of deals, and when no deal changed nothing further. What a search finds costs another search for every
        200 and a batch read of associations (which counts towards no limit) for every 1,000.
        """
        found = [*self._of_merged(window), *self._of_stamped(window)]
        return list(dict.fromkeys(found))

    def _of_merged(self, window: Window) -> Iterator[str]:
        for target in self._parents:
            filters = (
                {"propertyName": MERGED_IDS, "operator": "HAS_PROPERTY"},
                {
                    "propertyName": OBJECTS[target].modified,
                    "operator": "GTE",
                    "value": milliseconds(window.since),
                },
            )
            yield from self._associated(target, self._reader.every_id(target, filters))

    def _of_stamped(self, window: Window) -> Iterator[str]:
        for target in self._stamped:
            filters = (Window(OBJECTS[target].modified, window.since, window.until).filter(),)
            yield from self._associated(target, self._reader.every_id(target, filters))

    def _associated(self, target: str, ids: Sequence[str]) -> Iterator[str]:
        for ends in self._reader.associations(target, self._about.name, ids).values():
            yield from (end.id for end in ends)
