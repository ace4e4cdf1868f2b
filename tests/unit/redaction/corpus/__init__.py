"""The labelled corpus: what redaction must find, what it must leave alone.

`python -m tests.unit.redaction.corpus` writes the files from seeds; they are committed, so that
a figure in the docs can be traced to the lines it was measured on. The held-out files come from
another seed and other shapes, and were first measured before anything was tuned on them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Sample:
    """A line: a JSON value, or free text when `is_text`.

    A positive's `gone` may appear nowhere in what redaction leaves; a look-alike is left as it is.
    """

    label: str
    shape: str
    value: Any
    gone: tuple[str, ...] = ()
    is_text: bool = False


def write(name: str, samples: list[Sample]) -> None:
    """One sample a line, as JSON that a person can read."""
    lines = []
    for s in samples:
        line: dict[str, Any] = {"label": s.label, "shape": s.shape}
        line["text" if s.is_text else "value"] = s.value
        if s.gone:
            line["gone"] = list(s.gone)
        lines.append(json.dumps(line, ensure_ascii=False))
    (FOLDER / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def read(name: str) -> list[Sample]:
    """The samples of one committed file."""
    samples = []
    for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        fields = json.loads(line)
        is_text = "text" in fields
        samples.append(
            Sample(
                fields["label"],
                fields["shape"],
                fields["text" if is_text else "value"],
                tuple(fields.get("gone", ())),
                is_text,
            )
        )
    return samples
