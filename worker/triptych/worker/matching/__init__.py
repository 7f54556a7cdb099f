"""Matching of windows with prompts: how well a window fits what was asked for in words."""
