"""The workspace's records: one SQLite database, one repository per kind of record."""
