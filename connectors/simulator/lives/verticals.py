"""The three kinds of software company that can be simulated: what they sell, to whom, and how."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from connectors.simulator.world import Stage

SEGMENTS = ("SMB", "Mid-market", "Enterprise")


@dataclass(frozen=True)
class Product:
    """One thing on the price list. ``cents`` is the annual price per unit by segment (one-time: per unit)."""

    name: str
    family: str
    kind: str  # seat | module | one_time
    cents: tuple[int, int, int]


@dataclass(frozen=True)
class Segment:
    """What differs by size of the customer. Days are medians, rates are shares."""

    name: str
    share: float
    employees: tuple[int, int]
    seats: tuple[int, int]
    cycle_days: float
    win: float  # of qualified deals
    terms: tuple[tuple[int, float], ...]  # months, cumulative share
    churn: float  # of contracts that end
    contacts: tuple[int, int]


@dataclass(frozen=True)
class Vertical:
    """A kind of company. Rates are per customer and year unless they say otherwise."""

    key: str
    company: str
    stages: tuple[Stage, ...]
    dwell: tuple[float, ...]  # relative time in each open, active stage
    pilot_stage: int  # index among the open, active stages
    quote_stage: int  # from here on a deal has its line items
    retired: str  # replaces the open stage `retired_for` in the first part of history
    retired_for: int
    unknown: str  # a stage that deals carry and no layout knows
    products: tuple[Product, ...]
    segments: tuple[Segment, Segment, Segment]
    motions: tuple[
        tuple[float, float, float, float], ...
    ]  # inbound, outbound, partner, self-serve by segment
    industries: tuple[str, ...]
    roles: tuple[tuple[str, str, str], ...]  # role, buying centre, title
    pilot_share: float
    services_share: float
    later_start: float
    expansions: float
    downgrades: float
    quota: int  # of the last quarter, whole home-currency units, for 300 accounts

    @cached_property
    def open_stages(self) -> tuple[Stage, ...]:
        return tuple(s for s in self.stages if not s.closed and s.active)

    @cached_property
    def won(self) -> Stage:
        return next(s for s in self.stages if s.won)

    @cached_property
    def lost(self) -> Stage:
        return next(s for s in self.stages if s.closed and not s.won)


def _stages(*rows: tuple[str, float, str], retired: str, after: int) -> tuple[Stage, ...]:
    """Open stages in order, the retired one behind ``after`` of them, then won and lost."""
    opened = [Stage(name, 0, probability, category) for name, probability, category in rows]
    before = opened[after - 1]
    opened.insert(after, Stage(retired, 0, before.probability, before.forecast_category, active=False))
    closed = [
        Stage("Closed Won", 0, 1.0, "closed", closed=True, won=True),
        Stage("Closed Lost", 0, 0.0, "omitted", closed=True),
    ]
    return tuple(
        Stage(s.name, i, s.probability, s.forecast_category, s.closed, s.won, s.active)
        for i, s in enumerate([*opened, *closed], 1)
    )


SUPPLY_CHAIN = Vertical(
    key="supply_chain",
    company="Keelway Supply Chain Software",
    stages=_stages(
        ("Prospecting", 0.05, "pipeline"),
        ("Discovery", 0.1, "pipeline"),
        ("Solution Design", 0.25, "pipeline"),
        ("Pilot", 0.4, "best_case"),
        ("Proposal", 0.6, "best_case"),
        ("Negotiation", 0.8, "commit"),
        retired="Site Survey",
        after=3,
    ),
    dwell=(1.0, 1.3, 1.5, 2.2, 1.2, 1.1),
    pilot_stage=3,
    quote_stage=4,
    retired="Site Survey",
    retired_for=2,
    unknown="Verbal Commit",
    products=(
        Product("Control Tower Planner Seat", "Control Tower", "seat", (121_200, 114_000, 97_200)),
        Product("Warehouse Operator Seat", "Warehouse", "seat", (32_400, 28_800, 24_000)),
        Product("Demand Planning", "Planning", "module", (1_296_000, 2_834_400, 6_074_400)),
        Product("Inventory Optimization", "Planning", "module", (1_134_000, 2_430_000, 5_265_600)),
        Product("Supplier Risk", "Risk", "module", (810_000, 2_025_600, 4_860_000)),
        Product("Freight Visibility", "Visibility", "module", (972_000, 2_227_200, 4_454_400)),
        Product("Integration Services", "Services", "one_time", (450_000, 1_200_000, 3_500_000)),
    ),
    segments=(
        Segment("SMB", 0.28, (25, 199), (8, 25), 70, 0.38, ((12, 0.9), (24, 1.0)), 0.15, (1, 3)),
        Segment(
            "Mid-market",
            0.42,
            (200, 999),
            (25, 70),
            130,
            0.31,
            ((12, 0.7), (24, 0.88), (36, 1.0)),
            0.13,
            (2, 6),
        ),
        Segment(
            "Enterprise",
            0.30,
            (1000, 24000),
            (60, 220),
            210,
            0.23,
            ((12, 0.45), (24, 0.65), (36, 1.0)),
            0.11,
            (4, 14),
        ),
    ),
    motions=((0.5, 0.3, 0.2, 0.0), (0.35, 0.4, 0.25, 0.0), (0.2, 0.5, 0.3, 0.0)),
    industries=(
        "Manufacturing",
        "Retail",
        "Food & Beverage",
        "Third-Party Logistics",
        "Automotive",
        "Pharmaceuticals",
        "Consumer Goods",
        "Wholesale",
    ),
    roles=(
        ("Economic buyer", "Operations", "VP Supply Chain"),
        ("Champion", "Operations", "Director of Logistics"),
        ("Technical evaluator", "IT", "IT Integration Lead"),
        ("Procurement", "Procurement", "Strategic Sourcing Manager"),
        ("End user", "Operations", "Demand Planner"),
        ("Legal", "Legal", "Contracts Counsel"),
    ),
    pilot_share=0.4,
    services_share=0.45,
    later_start=0.22,
    expansions=0.45,
    downgrades=0.09,
    quota=3_600_000,
)

HR_TECH = Vertical(
    key="hr_tech",
    company="Peoplegrove HR Cloud",
    stages=_stages(
        ("Appointment Set", 0.05, "pipeline"),
        ("Discovery", 0.15, "pipeline"),
        ("Demo", 0.3, "pipeline"),
        ("Pilot", 0.45, "best_case"),
        ("Security & Legal Review", 0.65, "best_case"),
        ("Contract Sent", 0.85, "commit"),
        retired="Needs Analysis",
        after=3,
    ),
    dwell=(0.8, 1.0, 1.2, 1.6, 1.8, 0.8),
    pilot_stage=3,
    quote_stage=4,
    retired="Needs Analysis",
    retired_for=2,
    unknown="Board Approval",
    products=(
        Product("Employee Seat", "Core HR", "seat", (12_000, 9_600, 6_600)),
        Product("Contractor Seat", "Core HR", "seat", (7_200, 6_000, 4_800)),
        Product("Performance Reviews", "Talent", "module", (420_000, 1_260_000, 3_900_000)),
        Product("Engagement Surveys", "Talent", "module", (300_000, 960_000, 3_000_000)),
        Product("Learning", "Talent", "module", (360_000, 1_080_000, 3_300_000)),
        Product("Compensation Planning", "Rewards", "module", (480_000, 1_440_000, 4_200_000)),
        Product("Implementation", "Services", "one_time", (150_000, 600_000, 1_800_000)),
    ),
    segments=(
        Segment("SMB", 0.36, (20, 199), (30, 190), 40, 0.38, ((12, 0.95), (24, 1.0)), 0.18, (1, 3)),
        Segment(
            "Mid-market",
            0.40,
            (200, 999),
            (200, 900),
            85,
            0.28,
            ((12, 0.75), (24, 0.92), (36, 1.0)),
            0.13,
            (2, 5),
        ),
        Segment(
            "Enterprise",
            0.24,
            (1000, 15000),
            (900, 4200),
            170,
            0.17,
            ((12, 0.5), (24, 0.7), (36, 1.0)),
            0.10,
            (3, 9),
        ),
    ),
    motions=((0.55, 0.25, 0.15, 0.05), (0.4, 0.35, 0.25, 0.0), (0.2, 0.5, 0.3, 0.0)),
    industries=(
        "Healthcare",
        "Professional Services",
        "Education",
        "Hospitality",
        "Financial Services",
        "Technology",
        "Construction",
        "Nonprofit",
    ),
    roles=(
        ("Economic buyer", "HR", "CHRO"),
        ("Champion", "HR", "VP People"),
        ("Technical evaluator", "IT", "HRIS Manager"),
        ("Budget owner", "Finance", "CFO"),
        ("End user", "HR", "HR Business Partner"),
        ("Procurement", "Procurement", "Procurement Lead"),
    ),
    pilot_share=0.35,
    services_share=0.25,
    later_start=0.12,
    expansions=0.5,
    downgrades=0.1,
    quota=2_800_000,
)

DEV_TOOLS = Vertical(
    key="dev_tools",
    company="Forgepoint Developer Platform",
    stages=_stages(
        ("Trial Signup", 0.05, "pipeline"),
        ("Qualified", 0.15, "pipeline"),
        ("Technical Validation", 0.3, "pipeline"),
        ("POC", 0.4, "best_case"),
        ("Proposal", 0.6, "best_case"),
        ("Procurement & Security", 0.8, "commit"),
        retired="Architecture Call",
        after=3,
    ),
    dwell=(0.7, 0.9, 1.3, 2.0, 0.8, 1.5),
    pilot_stage=3,
    quote_stage=4,
    retired="Architecture Call",
    retired_for=2,
    unknown="Verbal Yes",
    products=(
        Product("Developer Seat", "Platform", "seat", (27_600, 26_400, 22_800)),
        Product("CI Runner Seat", "Runners", "seat", (16_800, 16_800, 14_400)),
        Product("Advanced Security", "Security", "module", (144_000, 576_000, 1_920_000)),
        Product("SSO and Audit Log", "Security", "module", (96_000, 384_000, 1_200_000)),
        Product("Self-Hosted Runners", "Runners", "module", (120_000, 480_000, 1_440_000)),
        Product("Code Intelligence", "Platform", "module", (144_000, 528_000, 1_680_000)),
        Product("Onboarding Workshop", "Services", "one_time", (60_000, 240_000, 900_000)),
    ),
    segments=(
        Segment("SMB", 0.50, (5, 199), (5, 40), 18, 0.36, ((12, 1.0),), 0.2, (1, 2)),
        Segment("Mid-market", 0.33, (200, 999), (30, 130), 50, 0.27, ((12, 0.88), (24, 1.0)), 0.15, (1, 4)),
        Segment(
            "Enterprise",
            0.17,
            (1000, 12000),
            (120, 520),
            130,
            0.2,
            ((12, 0.6), (24, 0.8), (36, 1.0)),
            0.10,
            (2, 7),
        ),
    ),
    motions=((0.35, 0.1, 0.05, 0.5), (0.5, 0.25, 0.1, 0.15), (0.35, 0.5, 0.15, 0.0)),
    industries=(
        "Software",
        "Fintech",
        "Gaming",
        "E-commerce",
        "Media",
        "Telecommunications",
        "Healthcare IT",
        "Semiconductors",
    ),
    roles=(
        ("Champion", "Engineering", "Staff Engineer"),
        ("Economic buyer", "Engineering", "VP Engineering"),
        ("Technical evaluator", "Platform", "Platform Lead"),
        ("Security reviewer", "Security", "Security Engineer"),
        ("End user", "Engineering", "Software Engineer"),
        ("Procurement", "Procurement", "Software Buyer"),
    ),
    pilot_share=0.35,
    services_share=0.08,
    later_start=0.08,
    expansions=0.5,
    downgrades=0.12,
    quota=1_000_000,
)

VERTICALS = {v.key: v for v in (SUPPLY_CHAIN, HR_TECH, DEV_TOOLS)}
