"""Which neutral records are one HubSpot record: leads and the contacts they became, and merges."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.simulator.hubspot.ids import MERGE_STEP, record_key, root_of


class Lineage:
    """Told everything once, then asked. A root is a record's id before any merge (see ``ids``)."""

    def __init__(self) -> None:
        self._lead_of: dict[int, int] = {}  # contact root -> lead root
        self._contact_of: dict[int, int] = {}  # lead root -> contact root
        self._told: list[tuple[int, int, int]] = []  # (at, absorbed root, survivor root)
        self._merges: dict[int, list[tuple[int, int]]] = {}  # survivor -> (at, absorbed), in order of time
        self._into: dict[int, tuple[int, int]] = {}  # absorbed -> (at, survivor)

    def pair(self, contact: int, lead: int) -> None:
        """The contact of that key is what the lead of that key became."""
        contact_root, lead_root = root_of("contact", contact), root_of("lead", lead)
        self._lead_of[contact_root] = lead_root
        self._contact_of[lead_root] = contact_root

    def merge(self, at: int, absorbed: int, survivor: int) -> None:
        """One record becomes part of another at that instant."""
        self._told.append((at, absorbed, survivor))

    def settle(self) -> None:
        """Everything has been told; questions may follow."""
        for at, absorbed, survivor in sorted(self._told):
            gone, kept = self.identity(absorbed), self.identity(survivor)
            if gone != kept:
                self._into[gone] = (at, kept)
                self._merges.setdefault(kept, []).append((at, gone))

    def identity(self, root: int) -> int:
        """The root of the HubSpot record that a neutral record is part of (a contact may have been a lead)."""
        return self._lead_of.get(root, root)

    def contact_root(self, lead: int) -> int | None:
        """The root of the contact that a lead (by root) became."""
        return self._contact_of.get(lead)

    def survivor(self, root: int, now: int) -> int:
        """Where a record lives on, merges until ``now`` followed."""
        while (step := self._into.get(root)) and step[0] <= now:
            root = step[1]
        return root

    def current(self, root: int, now: int) -> int:
        """The id of a record at ``now``: every merge it survives gives it a new one."""
        merges = self._merges.get(root)
        return root + sum(at <= now for at, _ in merges) * MERGE_STEP if merges else root

    def successor(self, identifier: int, now: int) -> int | None:
        """The id of the record that a merged-away id lives on in; None for any other id."""
        try:
            kind, key, _ = record_key(identifier)
        except ValueError:
            return None
        root = root_of(kind, key)
        if self.identity(root) != root or identifier > self.current(root, now):
            return None
        current = self.current(self.survivor(root, now), now)
        return current if current != identifier else None

    def merged_between(self, after: int, until: int) -> Iterator[int]:
        """The roots of the survivors of merges in that stretch (``after`` not included)."""
        for survivor, merged in self._merges.items():
            if any(after < at <= until for at, _ in merged):
                yield survivor

    def moved(self, now: int, since: int | None = None) -> Iterator[tuple[int, int]]:
        """Every root that is not where its record lives at ``now``, and where that is.

        With ``since`` only those that moved in a merge after that instant.
        """
        for absorbed, (at, _) in self._into.items():
            if at <= now and (since is None or at > since):
                yield absorbed, self.survivor(absorbed, now)
        if since is None:
            for contact, lead in self._lead_of.items():
                yield contact, self.survivor(lead, now)

    def absorptions(self, root: int) -> list[tuple[int, str]]:
        """When a record took in others, each time with all the ids merged into it so far, joined by ``;``."""
        moments = [at for at, _ in self._merges.get(root, ())]
        return [(at, ";".join(map(str, self._former(root, at)))) for at in moments]

    def _former(self, root: int, at: int) -> list[int]:
        ids: list[int] = []
        for generation, (merged, absorbed) in enumerate(self._merges.get(root, ())):
            if merged <= at:
                own = root + generation * MERGE_STEP
                ids += [own, *self._former(absorbed, merged), self.current(absorbed, merged)]
        return ids
