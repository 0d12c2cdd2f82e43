"""Models from the Hugging Face Hub: what they are, their download, and what is on this disk."""
