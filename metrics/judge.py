"""A playbook's verdict on a number: the status its rules give, and the target in words."""

from __future__ import annotations

from metrics.kpi import KpiValue, Status
from metrics.playbook import Playbook


class Judge:
    """One playbook at work. Called with a computed value, it returns (status, target)."""

    def __init__(self, playbook: Playbook) -> None:
        self.playbook = playbook

    def __call__(self, value: KpiValue) -> tuple[Status, str | None]:
        """The first rule that holds gives the status; no rule that holds: no target.

        A number that is undefined is not judged. Whether a defined one can be trusted is for the caller to say.
        """
        line = self.playbook.line(value.id)
        if value.value is None:
            return "not_computable", line.target
        for rule in line.rules:
            if rule.holds(value.value):
                return rule.status, line.target
        return "no_target", line.target
