"""Explanations of the predictions of a trained model for a clip."""
