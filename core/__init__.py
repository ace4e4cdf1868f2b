"""What every part agrees on: the event contract, keys and manifests, settings, clock, errors."""
