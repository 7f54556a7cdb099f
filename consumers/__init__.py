"""Subscribers: the SDK and `triptych watch`."""
