"""Generates the Grafana dashboards in `deploy/grafana/dashboards` from the metrics of the programs."""
