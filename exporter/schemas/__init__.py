"""What each dataset's columns are, and the words by which an engine takes them in."""
