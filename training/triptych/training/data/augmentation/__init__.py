"""Augmentation of training data.

`batch_augmentation` changes the tensors of a collated batch. It is cheap, and every training applies it by default.
`window_augmentation` changes single windows before they are collated. It does more and costs more, and it is configured
by name (`config`); `images`, `audio` and `text` implement it. Both keep the labels valid.
"""
