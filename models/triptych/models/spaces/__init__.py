"""Spaces in which texts, pictures and sounds lie together, so that words find windows."""
