"""The student for applications: what MLflow's consumers load, and what promotes it."""
