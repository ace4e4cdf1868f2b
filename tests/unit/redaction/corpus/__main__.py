"""Write the corpus: `python -m tests.unit.redaction.corpus`."""

from __future__ import annotations

from tests.unit.redaction.corpus import write
from tests.unit.redaction.corpus.heldout import heldout_lookalikes, heldout_positives
from tests.unit.redaction.corpus.lookalikes import lookalikes
from tests.unit.redaction.corpus.positives import positives

write("positives", positives(seed=20261121))
write("lookalikes", lookalikes(seed=20261122))
write("heldout_positives", heldout_positives(seed=777))
write("heldout_lookalikes", heldout_lookalikes(seed=778))
