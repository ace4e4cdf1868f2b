"""Personal and secret values, replaced by a typed mark before anything is written.

`Redactor.suspects` is one pass over a body; nearly all of them pass it, and cost nothing more.
"""

from api.collector.redaction.detector import Detector
from api.collector.redaction.redactor import Redactor

__all__ = ["Detector", "Redactor"]
