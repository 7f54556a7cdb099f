"""Alerts: results that match a rule, sent to a webhook."""
