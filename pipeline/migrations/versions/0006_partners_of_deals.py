"""A deal may name the partner who brought it in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deals", sa.Column("partner", sa.Text(), nullable=True))
