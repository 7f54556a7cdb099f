"""Component pools of the generated benchmarks: rendered once and cached, with disjoint components in each split."""
