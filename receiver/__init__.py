"""Takes alerts in, classifies them, remediates within bounds, and pages a human when it must.

`core/` decides (pure), the other rooms carry out; `app.py` is the only place that knows everybody.
"""

__version__ = "0.1.0"
