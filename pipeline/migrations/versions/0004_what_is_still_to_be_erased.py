"""What is still to be erased from the files, and no samples of people in PostgreSQL's statistics.

The guards of published numbers and logs came with this revision too; like the views they are made by every upgrade.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from connectors.errors import ConfigurationError

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Columns that may name a person, at this revision.
_PERSONAL = {
    "contacts": ("first_name", "last_name", "email", "phone", "custom"),
    "leads": ("first_name", "last_name", "email", "custom"),
    "meetings": ("subject", "custom"),
    "findings": ("message",),
    "quarantine": ("raw",),
}
_STANDING_ON = """
SELECT DISTINCT v.relname
FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = CAST(:name AS regclass) AND a.attname = ANY(:columns)
ORDER BY 1
"""


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("table", sa.Text(), nullable=False),
        sa.Column("due_since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("table"),
    )
    if op.get_bind().dialect.name == "postgresql":
        for name, columns in _PERSONAL.items():
            _without_samples(name, columns)


def _without_samples(name: str, columns: tuple[str, ...]) -> None:
    """Have the server keep no values of these columns beside the table, where no removal reaches them.

    Setting a column's type, also to the one it has, drops the samples that were taken before.
    """
    found = (
        op.get_bind().execute(sa.text(_STANDING_ON), {"name": name, "columns": list(columns)}).scalars().all()
    )
    if found:
        raise ConfigurationError(
            f"views of yours stand on {name} ({', '.join(map(str, found))}); "
            "drop them, run `boardline db upgrade`, and make them again"
        )
    for column in columns:
        op.execute(f"ALTER TABLE {name} ALTER COLUMN {column} TYPE TEXT")
        op.execute(f"ALTER TABLE {name} ALTER COLUMN {column} SET STATISTICS 0")
