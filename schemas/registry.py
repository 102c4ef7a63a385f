"""A small client of Confluent's schema registry API: what the codec and ``sada topics`` need of it, no more."""

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

# A registry in the same data centre answers in milliseconds; a worker that waits longer should fail and be restarted.
_TIMEOUT_S = 10.0

_TYPE = "application/vnd.schemaregistry.v1+json"


class RegistryError(OSError):
    """The registry does not answer, or refuses; the message says what and where."""


class IncompatibleError(RegistryError):
    """The registry holds a version with which the schema is not compatible."""


class SchemaRegistry:
    """One registry, by its URL; user and password may stand in it.

    Parameters
    ----------
    url : of the API's root, for example http://127.0.0.1:8081 or http://127.0.0.1:8080/apis/ccompat/v7

    Raises
    ------
    ValueError
        when the URL is not http or https
    """

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("SADA_SCHEMA_REGISTRY must be an http or https URL")
        self._root = urllib.parse.urlunsplit(
            (parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", "")
        )
        self._headers = {"Content-Type": _TYPE, "Accept": _TYPE}
        if parts.username is not None:
            pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()

    def id_of(self, subject: str, schema: str) -> int:
        """Return the id of a registered schema.

        Raises
        ------
        LookupError
            when the subject does not hold it: run ``sada topics``
        RegistryError
            when the registry does not answer
        """
        answer = self._call("POST", f"/subjects/{_quote(subject)}", {"schema": schema})
        return int(answer["id"])

    def schema_of(self, schema_id: int) -> str:
        """Return the schema with an id.

        Raises
        ------
        LookupError
            when there is none
        RegistryError
            when the registry does not answer
        """
        return str(self._call("GET", f"/schemas/ids/{schema_id}")["schema"])

    def register(self, subject: str, schema: str, *, compatibility: str = "FULL_TRANSITIVE") -> int:
        """Register a schema under a subject that keeps to a compatibility; return its id.

        Raises
        ------
        IncompatibleError
            when an earlier version forbids it
        RegistryError
            when the registry does not answer
        """
        self._call("PUT", f"/config/{_quote(subject)}", {"compatibility": compatibility})
        return int(self._call("POST", f"/subjects/{_quote(subject)}/versions", {"schema": schema})["id"])

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked above
            self._root + path,
            data=None if body is None else json.dumps(body).encode(),
            headers=self._headers,
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 - as above
                answer: dict[str, Any] = json.load(response)
                return answer
        except urllib.error.HTTPError as exc:
            with exc:
                text = exc.read(2_000).decode(errors="replace")
            if exc.code == 404:
                raise LookupError(f"{method} {path}: {text}") from None
            if exc.code == 409:
                raise IncompatibleError(f"{method} {path}: {text}") from None
            raise RegistryError(f"registry {self._root}: {method} {path} answered {exc.code}: {text}") from None
        except (OSError, ValueError) as exc:
            raise RegistryError(f"registry {self._root} does not answer: {exc}") from exc


def _quote(subject: str) -> str:
    return urllib.parse.quote(subject, safe="")
