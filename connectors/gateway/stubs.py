"""What SDKs ask before they send: their settings, and whether we are there."""

from aiohttp import web

from connectors.gateway.access import Access
from connectors.gateway.refusal import answer

# Rudder's browser SDK needs a source to be on; it has no destinations: Sada is the only one.
_EPOCH = "1970-01-01T00:00:00.000Z"


class Stubs:
    """Configuration that browser SDKs fetch, health and version."""

    def __init__(self, access: Access, version: str) -> None:
        self._access = access
        self._version = version

    def add_routes(self, app: web.Application) -> None:
        """Add the paths, with and without a trailing slash."""
        for path in ("/sourceConfig", "/sourceConfig/"):
            app.router.add_get(path, self._source)
        app.router.add_get("/v1/projects/{key}/settings", self._segment)
        app.router.add_get("/health", self._health)
        app.router.add_get("/version", self._say_version)

    async def _source(self, request: web.Request) -> web.Response:
        """Answer Rudder's JavaScript SDK."""
        key = self._access.passed(self._access.key_of(request), "collect", request)
        source = {
            "id": key.name,
            "name": key.name,
            "writeKey": "",
            "enabled": True,
            "workspaceId": "sada",
            "config": {"statsCollection": {"errors": {"enabled": False}, "metrics": {"enabled": False}}},
            "connections": [],
            "destinations": [],
            "updatedAt": _EPOCH,
        }
        return answer({"source": source, "updatedAt": _EPOCH, "consentManagementMetadata": {}})

    async def _segment(self, request: web.Request) -> web.Response:
        """Answer analytics-next."""
        write_key = request.match_info["key"]
        key = self._access.ring.find(write_key)
        self._access.passed(key, "collect", request)
        settings = {"apiKey": write_key, "apiHost": f"{request.host}/v1", "protocol": request.scheme}
        return answer({"integrations": {"Segment.io": settings}, "plan": {}, "edgeFunction": {}})

    async def _health(self, _: web.Request) -> web.Response:
        return answer({"server": "UP"})

    async def _say_version(self, _: web.Request) -> web.Response:
        return answer({"name": "sada", "version": self._version})
