"""The compression lab's service: runs in a queue, their proof, their reports, their models."""
