"""Redis commands of many tasks, sent together: what is asked for in one turn of the event loop is one round trip.

A single command costs redis-py some 200 us of Python; in a pipeline of fifty it costs a tenth of that.
"""

import asyncio
import hashlib
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

# Commands per round trip: about 100 kB of inbox messages.
MAX_TOGETHER = 256


class _Waiting(NamedTuple):
    script: str | None
    command: tuple[Any, ...]
    answer: "asyncio.Future[Any]"


class Together:
    """Sends commands in pipelines; each caller gets its own answer or error.

    Parameters
    ----------
    redis : decode_responses=False
    """

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._waiting: list[_Waiting] = []
        self._sender: asyncio.Task[None] | None = None

    async def command(self, *command: Any) -> Any:
        """Send a command.

        Raises
        ------
        redis.exceptions.RedisError, OSError
            Redis' own error, or that it does not answer
        """
        return await self._ask(None, command)

    async def script(self, text: str, keys: tuple[str, ...], args: tuple[Any, ...]) -> Any:
        """Run a Lua script, by its digest; it is loaded where Redis does not know it.

        Raises
        ------
        redis.exceptions.RedisError, OSError
            as ``command``
        """
        digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()  # Redis' own name for it
        return await self._ask(text, ("EVALSHA", digest, len(keys), *keys, *args))

    async def _ask(self, script: str | None, command: tuple[Any, ...]) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(script, command, answer))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        return await answer

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_TOGETHER], self._waiting[MAX_TOGETHER:]
                await self._round_trip(batch)
        finally:
            self._sender = None

    async def _round_trip(self, batch: list[_Waiting]) -> None:
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for waiting in batch:
                    pipeline.execute_command(*waiting.command)
                results = await pipeline.execute(raise_on_error=False)
            await self._load({w.script for w, r in zip(batch, results, strict=True) if isinstance(r, NoScriptError)})
        except Exception as exc:  # noqa: BLE001 - handed to each caller: whatever it is, nobody may wait for ever
            results = [exc] * len(batch)
        for waiting, result in zip(batch, results, strict=True):
            if waiting.answer.done():
                continue  # its caller was cancelled
            if isinstance(result, NoScriptError):
                self._waiting.append(waiting)  # loaded by now: once more
            elif isinstance(result, Exception):
                waiting.answer.set_exception(result)
            else:
                waiting.answer.set_result(result)

    async def _load(self, scripts: set[str | None]) -> None:
        for script in scripts:
            if script is not None:
                await self._redis.script_load(script)
