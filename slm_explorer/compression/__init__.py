"""Making models smaller: recipes, packed weights, and checkpoints compressed tensor by tensor."""
