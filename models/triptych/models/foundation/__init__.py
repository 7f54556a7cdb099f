"""Foundation models of other makers: spaces, detectors and classifiers, loaded from local files only."""
