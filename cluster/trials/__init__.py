"""Trials on Ray: who has which worker process, what runs there, and what becomes of it when that dies."""
