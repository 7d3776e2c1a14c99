"""Where a study is kept: a folder of this machine, or a prefix of an object store."""
