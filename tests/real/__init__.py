"""The real servers the tests run against: processes on loopback, and proxies between them and us that fail on demand.

Nothing here knows the package under test. `fixtures` is the way in; everything else may also be used by itself.
"""
