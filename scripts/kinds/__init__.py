"""The shipped models that do not chat: small encoders and a small text-to-text model.

They live in the Sprouts' world and are made by the same rules: text from our own generators, and a
split by content, so that what a suite asks never occurs in training.
"""
