"""Secrets and personal data out of text that others wrote: log lines, events, reasons, answers of vendors.

Law: pure and total; linear in the length of the text (RE2, one scan), since the text is hostile; what is masked once stays as it is. It
knows a secret by the name beside it, by its form or by its check digits, and then masks in doubt: a reader misses a word. One that has none
of them, as an ordinary word in a sentence, or a person's name, it cannot know. Nobody's addresses are kept but those of private networks,
which name pods and hosts; of a public IPv4 address the last number goes. Called for every line of evidence before it is stored or shown.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from receiver.core.prose import spoken
from receiver.core.unstyled import compiled, unstyled

HIDDEN = "***"
READ_LIMIT = 2_048
"""Characters of one line that are looked at; the rest of it is left out."""
LINE_LIMIT = 300
_ROUNDS = 3
"""What is masked may lay bare the beginning of its neighbour."""

# fmt: off
_KEY_WORDS = frozenset({
    "password", "passwd", "passphrase", "pass", "pwd", "pw", "secret", "secrets", "token", "tokens", "apikey", "accesskey", "privatekey",
    "secretkey", "signingkey", "encryptionkey", "accountkey", "authkey", "licensekey", "sharedkey", "masterkey", "sessionkey",
    "credential", "credentials", "creds", "authorization", "auth", "cookie", "cookies", "sessionid", "sessid", "sid", "signature", "sig",
    "jwt", "otp", "totp", "pin", "cvv", "cvc", "ssn", "dsn", "connectionstring", "webhookurl", "bearer", "hmac", "salt",
})
# fmt: on
_TELLING = ("password", "passwd", "passphrase", "secret", "apikey", "credential", "privatekey", "accesskey", "token")
"""Parts of a key that tell by themselves, wherever they stand: `dbpasswordprod`."""
_TO_THE_END = frozenset({"authorization", "cookie", "setcookie", "proxyauthorization", "auth"})
"""Their bare values have spaces."""
_SCHEMES = ("bearer ", "basic ", "digest ", "negotiate ", "token ", "apikey ", "aws4-hmac-sha256 ")
_STOPS = frozenset(" \t\r\n,;&\"'`)]}>|<")
_SOFT = frozenset(",;&\"'`")
"""Ends of a value only where something follows that a value would not go on with."""


_PEM = compiled(r"(?s)-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\z)")
_URL_USER = compiled(r"""(?i)([a-z][a-z0-9+.-]{0,30}://)[^/\s"'<>]*@""")
_URL_SLASHED = compiled(
    r"""(?i)((?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?|amqps?|kafka|ldaps?)://)[^\s"'<>@:/]*:[^\s"'<>]*@"""
)
_PAIR = compiled(
    r"""([A-Za-z0-9_.-]{1,64})\\*["'`]?\s{0,3}(?:=>|:=|[:=])\s{0,3}"""
    r"|(--?[A-Za-z0-9_-]{1,64})\s{1,3}"
    r"|(?i:\b(identified by|password|passwd|pwd)\s{1,3})"
)
_HINT = re.compile(
    r"pass|pw|secret|token|key|auth|cred|cookie|sess|sid|sig|jwt|otp|pin|cv[cv]|ssn|dsn|string|url|bearer|hmac|salt", re.IGNORECASE
)
"""Without one of these a key need not be taken apart."""
_CAMEL = re.compile(r"[a-z0-9](?=[A-Z])")
_NEXT_PAIR = re.compile(r"""[\s]?\\*["'`]?[A-Za-z0-9_.-]{1,64}\\*["'`]?\s{0,3}[:=]""")
_OPENING = re.compile(r"""\\{0,8}["'`]""")
_SCHEME = compiled(r"(?i)\b(bearer|basic)((?:[ _-]?auth(?:orization)?)?:?)(\s+)([A-Za-z0-9._~+/=-]{6,})")
_JWT = compiled(r"(^|[^A-Za-z])eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{2,}(?:\.[A-Za-z0-9_-]*){0,3}")
_JWT_BEHIND = compiled(r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){0,3}")
"""Behind a letter too, so in its whole form."""
_AWS_KEY = compiled(r"(?:AKIA|ASIA|AGPA|AIDA|AROA|AIPA|ANPA|ANVA|ABIA|ACCA)[A-Z0-9]{16}")
_HOOK = compiled(
    r"(?i)(\bhttps?://(?:hooks\.slack\.com/[a-z]{1,20}/|(?:[a-z0-9-]{1,63}\.)?(?:outlook|webhook)\.office(?:365)?\.com/webhook[a-z0-9]{0,4}/"
    r"|(?:[a-z]{1,10}\.)?discord(?:app)?\.com/api/webhooks/|hooks\.zapier\.com/hooks/catch/|events\.pagerduty\.com/integration/"
    r"|api\.telegram\.org/bot))[^\s\"'<>]+"
)
"""Addresses that are secrets: whoever has one may post."""
_QUERY = compiled(
    r"(?i)([?&;](?:code|auth_?code|ticket|invite|nonce|key|reset|confirm(?:ation)?|verif(?:y|ication))=)[^&;\s\"'`<>#)\]}]{4,}"
)
_VENDOR_BEHIND = compiled(
    r"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{16,}|glpat-[A-Za-z0-9_-]{16,}|AIza[A-Za-z0-9_-]{35}|npm_[A-Za-z0-9]{30,}"
    r"|pypi-[A-Za-z0-9_-]{50,}|dop_v1_[a-f0-9]{16,}|dckr_pat_[A-Za-z0-9_-]{16,}"
)
_VENDOR = compiled(
    r"(^|[^A-Za-z])(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}|glpat-[A-Za-z0-9_-]{16,}|xox[a-z]-[A-Za-z0-9-]{8,}|xapp-[A-Za-z0-9-]{8,}"
    r"|(?:sk|pk|rk)[_-](?:live|test|proj|ant)[_-][A-Za-z0-9_-]{8,}|sk-[A-Za-z0-9_-]{20,}|AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{8,}"
    r"|SG\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}|hv[sbr]\.[A-Za-z0-9_-]{16,}|npm_[A-Za-z0-9]{16,}|pypi-[A-Za-z0-9_-]{16,}|dop_v1_[a-f0-9]{16,}"
    r"|whsec_[A-Za-z0-9+/=]{8,}|shp(?:at|ss|ca|pa)_[A-Fa-f0-9]{16,}|dckr_pat_[A-Za-z0-9_-]{16,}|glsa_[A-Za-z0-9_]{16,})"
)
_RANDOM = compiled(r"[A-Za-z0-9+/_-]{28,}={0,2}")
_CHANGES = 0.33
"""Share of neighbours of different class: 0.65 in random base64, 0.3 in AbstractHttp2StreamConnectionFactoryBean."""
_AWS_SECRET, _CHANGES_OF_AWS = 40, 0.25
_EMAIL = compiled(r"[\pL\pN._%+'-]+(?:@|%40|＠)[\pL\pN-]+(?:\.[\pL\pN-]+)+")
_GROUPS = compiled(r"\b[0-9]{4}(?:[ ._/-][0-9]{4}){3}\b|\b3[47][0-9]{2}[ ._/-][0-9]{6}[ ._/-][0-9]{5}\b")
_DIGITS = compiled(r"[0-9](?:[ -]?[0-9]){12,18}")
_IBAN = compiled(r"(?i)\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
# fmt: off
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "CH": 21, "CR": 22, "CY": 28,
    "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23,
    "GL": 18, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LI": 21,
    "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TN": 24, "TR": 26, "UA": 29, "VA": 22,
    "XK": 20,
}
# fmt: on
"""By country, of letters and digits: https://www.swift.com/standards/data-standards/iban-international-bank-account-number"""
_PHONE = compiled(r"\+[0-9]{1,3}(?:[ .()-]{0,2}[0-9]{1,4}){3,6}|\b0[1-9](?:[ .-][0-9]{2}){4}\b")
_PHONE_CLOSE = compiled(r"(^|[^\pL\pN_.,-])(?:0[1-9][0-9]{8}|0033[1-9][0-9]{8})\b")
"""Without blanks; no fraction of a number and no part of a name."""
_SSN = compiled(r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b")
_NIR = compiled(r"\b[12] ?[0-9]{2} ?(?:0[1-9]|1[0-2]) ?[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}\b")
_IPV4 = compiled(r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b")
_IPV6 = compiled(r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3})?")


def safe_line(text: str, *, limit: int = LINE_LIMIT) -> str:
    """One printable masked line of at most `limit` characters. A text that is too long is cut between words first: half a secret is
    not known for one."""
    line = " ".join("".join(each if each.isprintable() else " " for each in unstyled(text[:READ_LIMIT])).split())
    cut = len(text) > READ_LIMIT
    if cut:
        line = line[: max(map(line.rfind, " ,;&")) + 1].rstrip()
    found = masked(line)
    return found if len(found) <= limit and not cut else found[: limit - 1] + "…"


def masked(text: str) -> str:
    """The same text with marks for what nobody needs to read: `***`, `[email]`, `[card]`, `[iban]`, `[phone]`, `[id]`, `[ipv6]`."""
    for _ in range(_ROUNDS):
        before = text
        for step in _STEPS:
            text = step(text)
        if text == before:
            break
    return text


# --- secrets -------------------------------------------------------------------------------------------------------------


def _pairs(text: str) -> str:
    """Values of keys that tell: `password=x`, `"apiKey": "x"`, `--token x`, `IDENTIFIED BY 'x'`."""
    found: list[str] = []
    done = 0
    for match in _PAIR.finditer(text):
        at = match.end()
        if match.start() < done or at >= len(text) or not _asks(match, text[at]):
            continue
        end = _value_end(text, at, to_the_end=_plain_key(match[1] or "") in _TO_THE_END)
        start = at + len(opening[0]) if (opening := _OPENING.match(text, at)) else at
        if end > start:
            found += [text[done:start], HIDDEN]
            done = end
    return "".join([*found, text[done:]])


def _asks(match: Any, value: str) -> bool:
    if match[3]:  # a word of SQL: only before a quoted text
        return value in "'\""
    return _secret_key(match[1] or match[2]) and not (match[2] and value == "-")


def _secret_key(key: str) -> bool:
    if not _HINT.search(key):
        return False
    parts = [each.lower() for each in re.split(r"[_.-]+", _CAMEL.sub(lambda end: end[0] + "_", key)) if each]
    joined = "".join(parts)
    pairs = {first + second for first, second in pairwise(parts)}
    return not _KEY_WORDS.isdisjoint({*parts, *pairs, joined}) or any(each in joined for each in _TELLING)


def _plain_key(key: str) -> str:
    return "".join(each for each in key.lower() if each.isalnum())


def _value_end(text: str, at: int, *, to_the_end: bool) -> int:
    """Where the value that begins at `at` is over. What is opened by a quote ends with it, or with the text."""
    opening = _OPENING.match(text, at)
    if opening is not None:
        return _closing(text, opening.end(), opening[0])
    if text[at : at + 24].lower().startswith(_SCHEMES):
        at = text.index(" ", at) + 1
    while at < len(text):
        if to_the_end and text[at] in "\"'`\r\n":
            return at
        if not to_the_end and text[at] in _STOPS and not _goes_on(text, at):
            return at
        at += 1
    return at


def _closing(text: str, at: int, quote: str) -> int:
    while (found := text.find(quote, at)) >= 0:
        if len(quote) > 1 or (found - len(text[:found].rstrip("\\"))) % 2 == 0:
            return found
        at = found + 1
    return len(text)


def _goes_on(text: str, at: int) -> bool:
    """A comma or quote inside of a bare value: more of it follows, and no other pair."""
    following = text[at + 1 : at + 2]
    return (
        text[at] in _SOFT and bool(following) and (following.isalnum() or following in "!#$%*+_~^@") and not _NEXT_PAIR.match(text, at + 1)
    )


def _scheme(match: Any) -> str:
    value = match[4]
    word = value.isalpha() and (value.islower() or (match[2] and value.istitle()))
    return str(match[0]) if word else f"{match[1]}{match[2]}{match[3]}{HIDDEN}"


def _random(match: Any) -> str:
    """Long, of both cases, with digits, and without words: they change from class to class less often. Commit ids and image digests are
    lower case."""
    value = match[0]
    kinds = [0 if each.isupper() else 1 if each.islower() else 2 if each.isdigit() else 3 for each in value]
    if not {0, 1, 2} <= set(kinds):
        return str(value)
    changes = sum(first != second and 3 not in (first, second) for first, second in pairwise(kinds))
    least = _CHANGES_OF_AWS if len(value) == _AWS_SECRET and 3 in kinds else _CHANGES
    return HIDDEN if changes >= least * (len(kinds) - kinds.count(3)) else str(value)


# --- personal data -------------------------------------------------------------------------------------------------------


def _card(match: Any) -> str:
    digits = [int(each) for each in match[0] if each.isdigit()]
    doubled = [each if at % 2 == 0 else sum(divmod(2 * each, 10)) for at, each in enumerate(reversed(digits))]
    return "[card]" if 2 <= digits[0] <= 6 and sum(doubled) % 10 == 0 else str(match[0])


def _iban(match: Any) -> str:
    """By its check digits. What is read as its last groups may be words that follow: then the country tells where it ends."""
    text = match[0]
    ends = [at + 1 for at, each in enumerate(text) if each != " "]
    length = _IBAN_LENGTHS.get(text[:2].upper(), 0)
    if text[:2].isupper() and 15 <= len(ends) <= 34 and _adds_up(text):
        return "[iban]"
    if not 0 < length <= len(ends) or (rest := text[ends[length - 1] :])[:1].isalnum() or not _adds_up(text[: ends[length - 1]]):
        return str(text)
    return f"[iban]{rest}"


def _adds_up(iban: str) -> bool:
    value = iban.replace(" ", "")
    return int("".join(str(int(each, 36)) for each in value[4:] + value[:4])) % 97 == 1


def _nir(match: Any) -> str:
    """A French social security number, by its key."""
    digits = match[0].replace(" ", "")
    return "[id]" if 97 - int(digits[:13]) % 97 == int(digits[13:]) else str(match[0])


def _ipv4(match: Any) -> str:
    return match[0].rpartition(".")[0] + ".x" if _public(match[0]) else str(match[0])


def _ipv6(match: Any) -> str:
    return "[ipv6]" if _public(match[0]) else str(match[0])


def _public(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _by(pattern: Any, put: str | Callable[[Any], str]) -> Callable[[str], str]:
    return lambda text: str(pattern.sub(put, text))


_STEPS: tuple[Callable[[str], str], ...] = (
    _by(_PEM, HIDDEN),
    _by(_URL_SLASHED, rf"\1{HIDDEN}@"),
    _by(_URL_USER, rf"\1{HIDDEN}@"),
    _by(_HOOK, rf"\1{HIDDEN}"),
    _by(_SCHEME, _scheme),
    _pairs,
    _by(_QUERY, rf"\1{HIDDEN}"),
    spoken,
    _by(_JWT_BEHIND, HIDDEN),
    _by(_JWT, rf"\1{HIDDEN}"),
    _by(_AWS_KEY, HIDDEN),
    _by(_VENDOR, rf"\1{HIDDEN}"),
    _by(_VENDOR_BEHIND, HIDDEN),
    _by(_RANDOM, _random),
    _by(_EMAIL, "[email]"),
    _by(_IBAN, _iban),
    _by(_NIR, _nir),
    _by(_GROUPS, _card),
    _by(_DIGITS, _card),
    _by(_PHONE, "[phone]"),
    _by(_PHONE_CLOSE, r"\1[phone]"),
    _by(_SSN, "[id]"),
    _by(_IPV4, _ipv4),
    _by(_IPV6, _ipv6),
)
"""Secrets first: what they leave is short, and no part of them is then taken for something milder."""
