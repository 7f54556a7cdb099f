"""Alerts: rules that match, sent to a webhook."""
