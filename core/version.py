"""The software's version, as manifests and answers state it."""

VERSION = "0.1.0"
