"""Contract suites that every plug-in, ours or a third party's, must pass."""
