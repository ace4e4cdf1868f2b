"""A delivery whose COMMIT went through while its answer was lost was marked pending again.

Once its segment counted as exported the sink waited for it for ever. What was noted when it was
delivered still stands in its row.
"""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '10s'")
    op.execute(
        """
        UPDATE deliveries SET state = 'delivered', last_error = NULL FROM segments
        WHERE segments.segment_id = deliveries.segment_id AND deliveries.state <> 'delivered'
          AND segments.state IN ('exported', 'dropped')
        """
    )


def downgrade() -> None:
    """What was delivered stays so."""
