"""HTTP for models: requests with a deadline, a token that never leaves its host, and errors in plain words."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import IO, Any

from engine import __version__
from engine.errors import InvalidInputError
from engine.models.errors import DownloadError

_HTTP_ERRORS = (OSError, http.client.HTTPException)

_REASONS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((socket.gaierror,), "its name cannot be resolved"),
    ((ConnectionRefusedError,), "the connection was refused"),
    ((TimeoutError,), "no answer in time"),
    ((ConnectionError, http.client.IncompleteRead), "the connection broke off"),
)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects; the Authorization header goes along only to the same host (the Hub redirects to storage elsewhere)."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and _origin(req.full_url) != _origin(newurl):
            request.remove_header("Authorization")
        return request


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


def open_url(url: str, headers: dict[str, str] | None = None, *, timeout: float) -> Any:
    """Send a GET request and return the open response.

    Args:
        timeout: seconds to wait for the connection, and then for each piece of the answer.

    Raises:
        DownloadError: no answer, or one that is an error; `status` tells which.
        InvalidInputError: `url` is neither http nor https.
    """
    if urllib.parse.urlsplit(url).scheme not in {"http", "https"} or not url.isascii():
        raise InvalidInputError(f"{without_secrets(url)} is no web address.", "It must begin with https:// or http://.")
    request = urllib.request.Request(url, headers={"User-Agent": f"mtntui/{__version__}"} | (headers or {}))  # noqa: S310
    opener = urllib.request.build_opener(_Redirects)
    try:
        return opener.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(url, error) from error
    except _HTTP_ERRORS as error:
        raise unreachable(url, error) from error


def unreachable(url: str, error: Exception) -> DownloadError:
    """The error for a server that gave no (whole) answer."""
    host = host_of(url)
    reason = explain(error)
    return DownloadError(
        f"{host} cannot be reached: {reason}.", "Check the network or the proxy settings, then try again.", reason=reason
    )


def host_of(url: str) -> str:
    """The host in an address, without user and password."""
    return urllib.parse.urlsplit(url).hostname or url


def explain(error: BaseException) -> str:
    """Why a connection failed, in a few words."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    for kinds, words in _REASONS:
        if isinstance(error, kinds):
            return words
    if isinstance(error, http.client.InvalidURL):
        return (
            "its address cannot be used (user names and passwords in it are not supported)"  # its own words repeat the password
        )
    if isinstance(error, ssl.SSLError):
        return f"its certificate or encryption was refused ({error.reason or error})"
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__


def _refused(url: str, error: urllib.error.HTTPError) -> DownloadError:
    host, said = host_of(url), error.headers.get("X-Error-Message", "")
    reason = f"{host} answered {error.code} {said or error.reason}".strip()
    return DownloadError(
        f"{reason} for {without_secrets(url)}.",
        "Try again later.",
        status=error.code,
        reason=reason,
        detail=error.headers.get("X-Error-Code", ""),
    )


def without_secrets(url: str) -> str:
    """An address without user, password and query (which may hold a signature)."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))
