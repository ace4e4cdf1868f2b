"""Tell somebody, once, when something is wrong, and once when it is over."""
