"""Measures the app as its visitors meet it; `scripts/measure_page.py` is the way in."""
