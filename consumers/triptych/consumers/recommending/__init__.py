"""Recommend windows, clips and feeds to users, by what they watched, liked and skipped."""
