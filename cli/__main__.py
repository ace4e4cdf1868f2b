"""`sluice`: run a stack on this machine, hold a bucket against its receipts, derive files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dotenv import load_dotenv

from cli.contract import check_contract, write_contract
from cli.doctor import examine_stack
from cli.export import add_export_arguments, run_export
from cli.invoice import add_invoice_arguments, run_invoice
from cli.pull import add_pull_arguments, run_pull
from cli.schema import add_schema_arguments, print_schema
from cli.tag import add_tag_arguments, run_tag
from cli.up import StackFailed, run_stack
from cli.verify import VerificationFailed, run_verify
from core.signing import SigningKeyError
from exporter.doctor.report import add_arguments as add_doctor_arguments
from exporter.keys import add_arguments, run_keys


def main() -> None:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="sluice", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    up = commands.add_parser("up", help="run the whole stack on this machine, without Docker")
    up.add_argument("--data", type=Path, default=Path("data"), help="where everything is kept")
    up.add_argument("--port", type=int, default=8000, help="the collector's port on localhost")
    up.add_argument("--env-file", type=Path, help="settings, as in .env.example")

    contract = commands.add_parser("contract", help="derive schemas, types and docs")
    contract.add_argument("--check", action="store_true", help="fail when one is stale")

    verify = commands.add_parser("verify", help="hold a bucket against its signed receipts")
    verify.add_argument(
        "bucket", help="a bucket's name, or file:///a/folder; read access is enough"
    )
    verify.add_argument(
        "--prefix", default="analytics", help="clients/CLIENT_ID in the vendor's bucket"
    )
    verify.add_argument("--region")
    verify.add_argument("--endpoint-url", help="for MinIO, R2 and the like")
    verify.add_argument("--key", help="id of a key that you know to be the stack's")
    verify.add_argument(
        "--receipt", metavar="SHA256", help="of a receipt that you know: it has to be in the chain"
    )
    verify.add_argument(
        "--metering", action="store_true", help="it is the vendor's bucket, with usage records"
    )
    verify.add_argument("--verbose", action="store_true", help="print every segment")

    doctor = commands.add_parser("doctor", help="what is wrong with a stack, and what to do")
    doctor.add_argument("--env-file", type=Path, help="settings, as in .env.example")
    doctor.add_argument("--data", type=Path, help="examine what `sluice up --data` runs")
    add_doctor_arguments(doctor)

    add_export_arguments(
        commands.add_parser("export", help="deliver a window once more, into a set of its own")
    )
    add_invoice_arguments(
        commands.add_parser("invoice", help="what a month costs, from the signed receipts")
    )
    add_pull_arguments(
        commands.add_parser("pull", help="a verified copy of a bucket in a folder, kept up to date")
    )

    add_schema_arguments(commands.add_parser("schema", help="ready DDL for an engine"))

    add_tag_arguments(commands.add_parser("tag", help="the script tag for a site's pages"))

    keys = commands.add_parser("keys", help="the keys that sign receipts")
    add_arguments(keys)

    arguments = parser.parse_args()
    match arguments.command:
        case "up":
            if arguments.env_file is not None and not load_dotenv(arguments.env_file):
                sys.exit(f"{arguments.env_file} is missing or empty.")
            try:
                run_stack(data=arguments.data.absolute(), port=arguments.port)
            except StackFailed as exc:
                sys.exit(f"\n{exc}")
        case "verify":
            try:
                run_verify(
                    arguments.bucket,
                    prefix=arguments.prefix.strip("/"),
                    region=arguments.region,
                    endpoint_url=arguments.endpoint_url,
                    trusted_key=arguments.key,
                    known_receipt=arguments.receipt,
                    is_metering=arguments.metering,
                    is_verbose=arguments.verbose,
                )
            except VerificationFailed as exc:
                sys.exit(str(exc))
        case "doctor":
            sys.exit(
                examine_stack(
                    env_file=arguments.env_file, data=arguments.data, tells=arguments.tell
                )
            )
        case "export":
            sys.exit(run_export(arguments))
        case "invoice":
            sys.exit(run_invoice(arguments))
        case "pull":
            sys.exit(run_pull(arguments))
        case "schema":
            try:
                print_schema(arguments)
            except ValueError as exc:
                sys.exit(str(exc))
        case "tag":
            sys.exit(run_tag(arguments))
        case "keys":
            try:
                run_keys(arguments)
            except SigningKeyError as exc:
                sys.exit(str(exc))
        case "contract":
            if arguments.check:
                stale = check_contract()
                if stale:
                    sys.exit("Stale: " + ", ".join(stale) + ". Run `make contract` and commit.")
            else:
                write_contract()


if __name__ == "__main__":
    main()
