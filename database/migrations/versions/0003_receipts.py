"""Signed receipts: made once, kept until each bucket has them."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = (
    """
    CREATE TABLE receipts (
      segment_id bigint PRIMARY KEY,
      body bytea NOT NULL,
      sha256 text NOT NULL
    )
    """,
    "ALTER TABLE deliveries ADD COLUMN receipt_at timestamptz",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '10s'")
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("There is no way back: the chain of receipts would begin anew.")
