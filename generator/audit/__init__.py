"""Whether a dataset holds what it says: `status`, `verify`, `reproduce`, and `privacy` against training data."""
