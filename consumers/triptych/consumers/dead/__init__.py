"""Dead letters: which there are, what each holds, and putting them back."""
