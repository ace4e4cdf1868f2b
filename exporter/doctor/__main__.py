"""`python -m exporter.doctor`: for the exporter's image, which has no `sluice`."""

from __future__ import annotations

import os
import sys

from exporter.doctor.report import run_doctor

if __name__ == "__main__":
    sys.exit(run_doctor(os.environ))
