"""What a month costs, from the signed receipts in the vendor's bucket."""
