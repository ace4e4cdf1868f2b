"""Our tracker beside four others, in Chromium: what it weighs, what it costs, what survives."""
