"""Everything that must survive a restart, on SQLAlchemy Core: one SQL code base, SQLite now, PostgreSQL by its URL later.

Law: a method of `SqlStore` is one transaction, all or nothing, also when its caller is cancelled; what the database says comes out as
`StoreUnavailable`, `VersionConflict` or `StalePermit`, never as a driver's exception. Opened by `opening.open_store`, wired in `app.py`.
"""
