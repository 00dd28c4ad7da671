"""JSON API and server-rendered console over what the store shows and `Commands`. Mounted by `app.py`.

Law: reading goes through `ViewStore`, changing through `Commands`, nothing else; every route but the login and its assets knows who asks;
no ambient credential changes anything but its own session.
"""

from receiver.web.routes import add_web_routes
from receiver.web.tokens import ApiToken

__all__ = ["ApiToken", "add_web_routes"]
