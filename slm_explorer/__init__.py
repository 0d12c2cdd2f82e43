"""Explore and compare small language models: measured here, or said not to be."""

__version__ = "0.1.0"
