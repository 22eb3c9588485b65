"""Line items may start and end on their own: the steps of a ramp."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("line_items", sa.Column("start_date", sa.Date(), nullable=True))
    op.add_column("line_items", sa.Column("term_months", sa.BigInteger(), nullable=True))
