"""Data sets that are larger than memory: Parquet shards in a folder or an object store, read by row id."""
