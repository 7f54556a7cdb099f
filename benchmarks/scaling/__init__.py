"""How far a pipeline scales: several workers on one broker, and what many streams need.

python -m benchmarks.scaling.workers --workers 1 2 4 8
python -m benchmarks.scaling.capacity
"""
