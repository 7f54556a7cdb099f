"""Adapters that convert public data sets, as their authors distribute them, to manifests."""
