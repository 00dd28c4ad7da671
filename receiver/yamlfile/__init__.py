"""YAML files that people write: read strictly, checked wholly, every error with its place.

`reading` turns text into plain values and remembers where each stood; `values` holds the notations that people use (`5m`, `20%`,
`16MiB`); `checking` holds a value against a pydantic model and says in words what is wrong. Used by settings, rule files and rule tests.
"""

from receiver.yamlfile.checking import BRANCH, Strict, check_fields, check_model, check_partly, inner, model_in
from receiver.yamlfile.reading import Document, Path, Problem, parse_text, read_file, resolve, show_path
from receiver.yamlfile.values import Address, Duration, Flag, Number, Share, Size, Whole, read_as, read_duration, show_duration

__all__ = [
    "BRANCH",
    "Address",
    "Document",
    "Duration",
    "Flag",
    "Number",
    "Path",
    "Problem",
    "Share",
    "Size",
    "Strict",
    "Whole",
    "check_fields",
    "check_model",
    "check_partly",
    "inner",
    "model_in",
    "parse_text",
    "read_as",
    "read_duration",
    "read_file",
    "resolve",
    "show_duration",
    "show_path",
]
