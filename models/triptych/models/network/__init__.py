"""The fused network: encoders, fusion and heads."""
