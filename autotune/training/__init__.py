"""One trial: build, feed, step, evaluate, checkpoint, account."""
