"""Write the results of the results topic into Redis again."""
