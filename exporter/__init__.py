"""From sealed segments to verified objects: schedule, deliveries, encoders, sinks, metering."""
