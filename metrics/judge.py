"""A playbook's verdict on a number: the status its rules give, and the target in words."""

from __future__ import annotations

from metrics.kpi import Status
from metrics.playbook import Playbook


class Judge:
    """One playbook at work. Called with a KPI's id and value, it returns (status, target)."""

    def __init__(self, playbook: Playbook) -> None:
        self.playbook = playbook

    def __call__(self, kpi: str, value: float | None) -> tuple[Status, str | None]:
        """The first rule that holds gives the status; no rule that holds: no target.

        A number that is undefined is not judged. Whether a defined one can be trusted is for the caller to say.
        """
        line = self.playbook.line(kpi)
        if value is None:
            return "not_computable", line.target
        for rule in line.rules:
            if rule.holds(value):
                return rule.status, line.target
        return "no_target", line.target
