"""Watches over a machine that its cloud may take: asks the metadata service, and has Ray drain the node."""
