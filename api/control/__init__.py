"""Management: health, events, export. Never on the public listener."""
