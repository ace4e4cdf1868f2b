"""What is stored: tables, intake SQL, segment SQL, the ledger, migrations, the embedded server."""
