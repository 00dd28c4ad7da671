"""Secrets that are told in sentences: `password is hunter2`, `(token abc)`, `passphrase foo bar`, `api key 0123…`.

Law: pure and linear (RE2). The same words name states of a secret (`token expired`, `password is required`) and objects (`secret web-tls
not found`), which people need: those are kept, by a list. A part of the masking, which calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from receiver.core.unstyled import compiled

HIDDEN = "***"

_NAMES = r"pass(?:word|wd|phrase|code)|pwd|token|api[ _-]?key"
_IS = compiled(rf"""(?i)\b((?:{_NAMES}|secret|pin|otp|credentials?)\s{{1,3}}(?:is|was|are)\s{{1,3}}["'`]?)([^\s"'`,;()\[\]{{}}<>]+)""")
_ENCLOSED = compiled(rf"(?i)([(\[{{](?:the |your |with )?(?:{_NAMES}|otp)\s{{1,3}})([^\s()\[\]{{}}:=]{{3,}})(\s{{0,3}}[)\]}}])")
_BESIDE = compiled(rf"""(?i)\b((?:{_NAMES})\s{{1,3}})([^\s"'`,;()\[\]{{}}<>=:]{{4,}})""")
_NUMBER = compiled(r"(?i)\b((?:my[ _-]?|user[ _-]?)?(?:pin|otp|totp|passcode|cvv|cvc)\s{1,3})([0-9]{3,10})\b")
_PASSPHRASE = compiled(r"""(?i)\b(passphrase\s{1,3})([^\s"'`,;:=()\[\]{}<>]+)((?:\s{1,3}[^\s"'`,;:=()\[\]{}<>]+)*)""")
_HEX = compiled(
    r"""(?i)((?:api|key|token|secret|licen[cs]e|credential|subscription)s?["'`]?\s{0,2}[:=]?\s{0,3}["'`]?)\b([0-9a-f]{32,64})\b"""
)
_SHAPE = compiled(
    r"(?i)(?:oauth|open|v|sha|md|base|utf|http|hs|rs|es|ps|argon|pbkdf)-?[0-9]{1,3}[a-z]{0,2}|[0-9]{4}-[0-9]{2}-[0-9]{2}\S{0,20}"
)
"""Words with digits that are none: protocols, algorithms, days."""
_POD = compiled(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*-[bcdfghjklmnpqrstvwxz2456789]{5}")
"""Kubernetes' own suffixes have no vowels: https://github.com/kubernetes/apimachinery/blob/master/pkg/util/rand/rand.go"""
_LISTED = """
    a about absent after again already also an and any as at auth authentication bad be been before being blank bucket budget but by
    can cannot change check code correct could count did does empty endpoint error exchange expiry expires fails failure false field
    file fine for from gone good has hash have in inactive incorrect inside into invalid is issuer it its kept length limit long longer
    manager mandatory may mismatch must needs never new nil no none not now null of off ok old older on only or our out over policy
    present prompt provider refresh request reset review right ring rotation same sent server service set short should so still stale
    store stream that the their then there this to too true try type unknown unset until valid validation validity verification via was
    weak were when will with without wrong your
"""
_STATES = frozenset(_LISTED.split())
_ENDINGS = ("ed", "ing", "able", "ible")


def spoken(text: str) -> str:
    """The same with `***` for such values."""
    for pattern, put in _STEPS:
        text = str(pattern.sub(put, text))
    return text


def _state(value: str) -> bool:
    """It tells how the secret does, not what it is."""
    word = value.strip(".!?…*").lower()
    return not word or word in _STATES or (word.isalpha() and len(word) > 4 and word.endswith(_ENDINGS)) or bool(_SHAPE.fullmatch(word))


def _told(match: Any) -> str:
    return str(match[0]) if _state(match[2]) else f"{match[1]}{HIDDEN}{match[3] if match.re.groups > 2 else ''}"


def _beside(match: Any) -> str:
    """Only what has digits and letters: a word may be anything."""
    value = match[2]
    mixed = any(each.isdigit() for each in value) and any(each.isalpha() for each in value)
    return f"{match[1]}{HIDDEN}" if mixed and not _state(value) and not _POD.fullmatch(value) else str(match[0])


def _phrase(match: Any) -> str:
    return str(match[0]) if _state(match[2]) else f"{match[1]}{HIDDEN}"


_STEPS: tuple[tuple[Any, Callable[[Any], str] | str], ...] = (
    (_HEX, rf"\1{HIDDEN}"),
    (_IS, _told),
    (_PASSPHRASE, _phrase),
    (_ENCLOSED, _told),
    (_BESIDE, _beside),
    (_NUMBER, rf"\1{HIDDEN}"),
)
