"""The parts of .ci/compose: images, the stack, its clients, and what is checked on it."""
