"""Sends what a load counts to where it is watched: Prometheus, InfluxDB, OpenTelemetry. Each only folds snapshots."""
