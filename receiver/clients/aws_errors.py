"""What AWS, its SDK or the way there said, as one `ClientError`: what kind it is, and how surely nothing happened.

Law: the one place where AWS's error codes get our meaning. A doubt about a call that left is `sent`. What may quote our credentials (a
refused signature is told with the whole request, the session token included) is told by its code alone. Used by `clients/aws.py` only.
"""

from __future__ import annotations

import importlib
import socket
from collections.abc import Mapping
from typing import Any

from receiver.clients.errors import ClientError, ErrorKind

_THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "PriorRequestNotComplete",
    }
)
"""As botocore's own retry handler knows them (botocore/retries/standard.py, ThrottledRetryableChecker)."""
_FORBIDDEN = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "AuthorizationErrorException"}
)
_UNAUTHORIZED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "InvalidAccessKeyId",
    }
)
_CONFLICT = frozenset({"ConflictException", "ServiceNotActiveException", "UpdateInProgressException", "ConcurrentModificationException"})
_NOT_FOUND = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
_NO_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "TokenRetrievalError",
    "NoAuthTokenError",
    "MetadataRetrievalError",
    "UnauthorizedSSOTokenError",
    "SSOTokenLoadError",
    "InvalidConfigError",
    "ConfigNotFound",
    "ProfileNotFound",
    "RefreshWithMFAUnsupportedError",
)
"""Their texts may quote the answer of a credential process, or a profile: only their names are told."""
_BEFORE_SENDING = (
    "ParamValidationError",
    "NoRegionError",
    "InvalidRegionError",
    "UnknownServiceError",
    "DataNotFoundError",
    "EndpointProviderError",
    "InvalidEndpointConfigurationError",
)


def translated(error: BaseException, what: str) -> ClientError:
    """`what` names the call, as `ecs update_service`. Raise it `from error`."""
    vendor, http = importlib.import_module("botocore.exceptions"), importlib.import_module("aiohttp")
    if isinstance(error, vendor.ClientError):
        return _answered(error.response, what)
    if isinstance(error, _named(vendor, _NO_CREDENTIALS)):
        return ClientError(ErrorKind.unauthorized, f"{what}: no usable credentials ({type(error).__name__})")
    if isinstance(error, _named(vendor, _BEFORE_SENDING)):
        return ClientError(ErrorKind.invalid, f"{what}: {error}")
    if isinstance(error, (vendor.ReadTimeoutError, TimeoutError)):
        return ClientError(ErrorKind.timeout, f"{what}: no answer in time", sent=True)
    if isinstance(error, (vendor.HTTPClientError, vendor.ConnectionError, http.ClientError, OSError)):
        left = not _never_left(error, vendor, http)
        said = "the connection was cut" if left else "no connection"
        return ClientError(ErrorKind.unreachable, f"{what}: {said} ({type(error).__name__})", sent=left)
    return ClientError(ErrorKind.bad_answer, f"{what}: {type(error).__name__}", sent=True)


def _never_left(error: BaseException, vendor: Any, http: Any) -> bool:
    """There was no connection. aiobotocore gives one and the same error for one that was refused and one that was reset later on."""
    if isinstance(error, vendor.EndpointConnectionError):
        return isinstance(error.kwargs.get("error"), (http.ClientConnectorError, socket.gaierror))
    return isinstance(error, (vendor.ConnectTimeoutError, vendor.ProxyConnectionError, vendor.SSLError))


def vendor_errors() -> tuple[type[BaseException], ...]:
    """Everything that a call of the SDK may end with but for cancellation; to be translated."""
    vendor, parsers = importlib.import_module("botocore.exceptions"), importlib.import_module("botocore.parsers")
    http = importlib.import_module("aiohttp")
    known = (vendor.BotoCoreError, vendor.ClientError, parsers.ResponseParserError, http.ClientError)
    return (*known, OSError, RuntimeError, ValueError, LookupError, TypeError)


def _answered(response: Mapping[str, Any], what: str) -> ClientError:
    error, meta = response.get("Error") or {}, response.get("ResponseMetadata") or {}
    code, status = str(error.get("Code") or ""), int(meta.get("HTTPStatusCode") or 0)
    kind = _kind(code, status)
    told = "" if kind is ErrorKind.unauthorized else f": {error.get('Message') or error.get('message') or 'no message'}"
    # A 5xx may come from in front of the service, or after it began: only a 4xx says that nothing was done.
    return ClientError(kind, f"{what}: {status} {code}{told}", sent=not 400 <= status < 500)


def _kind(code: str, status: int) -> ErrorKind:
    name = code.rpartition("#")[2]
    for names, kind in (
        (_THROTTLED, ErrorKind.throttled),
        (_FORBIDDEN, ErrorKind.forbidden),
        (_UNAUTHORIZED, ErrorKind.unauthorized),
        (_CONFLICT, ErrorKind.conflict),
        (_NOT_FOUND, ErrorKind.not_found),
    ):
        if name in names:
            return kind
    if "NotFound" in name or status == 404:
        return ErrorKind.not_found
    if status == 429:
        return ErrorKind.throttled
    return ErrorKind.unavailable if status >= 500 else ErrorKind.invalid if status >= 400 else ErrorKind.bad_answer


def _named(module: Any, names: tuple[str, ...]) -> tuple[type[BaseException], ...]:
    """Those that this version of the SDK has."""
    return tuple(found for each in names if isinstance(found := getattr(module, each, None), type))
