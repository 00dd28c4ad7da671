"""One client a vendor API.

Law: a time limit on every call, the kill switch asked right before every mutation, a token bucket, an audit line, and the vendor's errors
translated once into `ClientError`. Heavy libraries are imported when a client first connects. Called by the edges, wired in `app.py`.
"""
