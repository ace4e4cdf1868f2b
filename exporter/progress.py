"""How far the delivery under way has come, for whoever asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa

from core.clock import Clock

Stage = Literal["encoding", "uploading", "committing"]


@dataclass
class Progress:
    """One delivery: counted by the thread that works on it, read by others."""

    segment_id: int
    clock: Clock
    of_rows: int = 0
    """Rows of the segment that are no duplicates."""
    rows: int = 0
    of_objects: int = 0
    objects: int = 0
    stage: Stage = "encoding"
    begun_at: datetime = field(init=False)
    stage_begun_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.begun_at = self.stage_begun_at = self.clock()

    def counting(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches, each counted when it was worked on."""
        for batch in batches:
            count = batch.num_rows
            yield batch
            del batch
            self.rows += count

    def uploading(self, objects: int) -> None:
        """Everything is encoded, and so many objects are to be put."""
        self.of_objects = objects
        self._begin("uploading")

    def uploaded(self) -> None:
        """One more object is in the bucket, and was read back."""
        self.objects += 1

    def committing(self) -> None:
        """All objects are there; the manifest is not."""
        self._begin("committing")

    def shown(self) -> dict[str, Any]:
        """As `/export/status` shows it."""
        return {
            "segment_id": self.segment_id,
            "begun_at": self.begun_at.isoformat(),
            "stage_begun_at": self.stage_begun_at.isoformat(),
            "stage": self.stage,
            "rows": self.rows,
            "of_rows": self.of_rows,
            "objects": self.objects,
            "of_objects": self.of_objects,
        }

    def _begin(self, stage: Stage) -> None:
        self.stage, self.stage_begun_at = stage, self.clock()
