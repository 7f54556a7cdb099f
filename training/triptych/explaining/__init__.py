"""Why a trained model said what it said of a clip, drawn for people."""
