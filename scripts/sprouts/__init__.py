"""The Sprouts: how their text is made, how they are trained, and how they are judged.

Nothing here is imported by the app. `scripts/train_sprouts.py` is the entry.
"""
