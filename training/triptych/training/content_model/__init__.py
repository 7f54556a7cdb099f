"""The model that says what a window is about, trained on the stamps of Tux Paint. Read `study.py` first."""
