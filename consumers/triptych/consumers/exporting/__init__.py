"""`triptych export`: results as tables of Apache Arrow and Parquet."""
