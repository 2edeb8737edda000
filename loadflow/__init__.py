"""Load tests as Prefect flows."""
