"""`python -m exporter.doctor`: for the exporter's image, which has no `sluice`."""

from __future__ import annotations

import argparse
import os
import sys

from exporter.doctor.report import add_arguments, run_doctor

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m exporter.doctor", description=__doc__)
    add_arguments(parser)
    sys.exit(run_doctor(os.environ, tells=parser.parse_args().tell))
