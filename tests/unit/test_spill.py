from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest

from core.keys import Partition
from exporter.spill import Spill
from tests.conftest import NOON


def test_rows_that_changed_while_they_waited_are_told(tmp_path: Path) -> None:
    generator, partition = random.Random(1), Partition("site", NOON)
    rows = pa.record_batch({"id": [generator.randbytes(16) for _ in range(500)]})
    for _ in range(40):
        with Spill.below(tmp_path) as spill:
            spill.write(partition, rows)
            spill.write(partition, rows)
            place = generator.randrange(spill._file.tell())
            spill._file.seek(place)
            (byte,) = spill._file.read(1)
            spill._file.seek(place)
            spill._file.write(bytes([byte ^ 1 << generator.randrange(8)]))
            with pytest.raises(OSError, match="have changed on its disk"):
                list(spill.take(partition))
