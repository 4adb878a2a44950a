"""Chat: what the user says is stored, the model's reply is asked for, and it grows in the store while it streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from engine.errors import EngineError, HostError, NotFoundError
from engine.inference.client import HostClient
from engine.inference.types import Event, GenerationRequest, Message, SamplingParameters, TextDelta
from engine.settings import ChatSettings
from engine.store.conversations import Conversations, Status, StoredMessage
from engine.store.database import Database

# Longer than a host takes to start.
_FRESH_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the user said, and the reply that is to grow."""

    user: StoredMessage
    reply: StoredMessage


def parameters_from(settings: ChatSettings) -> SamplingParameters:
    """The sampling parameters that the user's settings ask for."""
    return SamplingParameters(
        max_new_tokens=settings.max_new_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        repetition_penalty=settings.repetition_penalty,
    )


class Chat:
    """The conversations of a workspace, and the models that answer.

    Args:
        database: the workspace's.
        client: the workspace's inference host.
    """

    def __init__(self, database: Database, client: HostClient) -> None:
        self.conversations = Conversations(database)
        self._client = client

    def send(self, conversation: str, text: str, *, model: str, parameters: SamplingParameters) -> Exchange:
        """Store what the user said and a row for the reply; `stream` then asks the model.

        Raises:
            StorageError: the disk is full, say; then neither of the two is stored.
        """
        return Exchange(*self.conversations.add_exchange(conversation, text, model=model, parameters=parameters.as_dict()))

    def retry(self, reply: int, *, model: str, parameters: SamplingParameters) -> Exchange:
        """Ask for another reply to the same message; the earlier one stays as a branch."""
        parent = self.conversations.message(reply).parent
        assert parent is not None  # a reply always follows what the user said
        user = self.conversations.message(parent)
        row = self.conversations.start_reply(user.conversation, parent=parent, model=model, parameters=parameters.as_dict())
        return Exchange(user, row)

    async def stream(self, reply: StoredMessage) -> AsyncGenerator[Event, None]:
        """Let the model write a reply that `send` prepared.

        Closing the iterator only looks away: the reply goes on in the host, and `resume` joins it again.

        Raises:
            EngineError: the reply failed, or the host died; what there is of it is stored and marked so.
        """
        conversation = self.conversations.get(reply.conversation)
        request = GenerationRequest(
            model=reply.model,
            messages=prompt_messages(conversation.system, self.conversations.messages(reply.conversation, before=reply.id)),
            parameters=SamplingParameters.from_dict(reply.parameters),
            reply=reply.id,
        )
        async with aclosing(self._kept(reply.id, self._client.stream(request), lost=HostError)) as events:
            async for event in events:
                yield event

    async def resume(self, reply: int) -> AsyncGenerator[Event, None]:
        """Join a reply that the host is still writing.

        Raises:
            NotFoundError: nobody writes it any more; it is marked interrupted.
        """
        try:
            lost = (HostError, NotFoundError)
            async with aclosing(self._kept(reply, self._client.attach(reply), lost=lost)) as events:
                async for event in events:
                    yield event
        except HostError as error:
            raise NotFoundError("That reply is not being written any more.", "Send again to continue.") from error

    async def stop(self, reply: int) -> None:
        """Stop a reply; returns when what there is of it is stored."""
        await self._client.stop(reply)

    async def settle(self) -> int:
        """Mark replies that say they are being written, though no host writes them, as interrupted; returns how many.

        One that was begun a moment ago is left alone: another terminal may be starting the host for it. `resume` tells.
        """
        status = await self._client.status()
        return self.conversations.mark_interrupted(tuple(status.replies) if status else (), older_than=_FRESH_SECONDS)

    async def _kept(
        self, reply: int, events: AsyncGenerator[Event, None], *, lost: type[EngineError] | tuple[type[EngineError], ...]
    ) -> AsyncGenerator[Event, None]:
        """Pass events on; when the reply's writer is `lost`, or it fails, store what was seen of it."""
        seen = ""
        try:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, TextDelta):
                        seen += event.text
                    yield event
        except lost:
            self._close(reply, seen, "interrupted")
            raise
        except EngineError as error:  # the host stored the failure, unless it refused the request itself
            self._close(reply, seen, "failed", str(error))
            raise

    def _close(self, reply: int, seen: str, status: Status, error: str = "") -> None:
        stored = self.conversations.message(reply)
        if stored.status == "streaming":
            self.conversations.finish_reply(reply, max(seen, stored.content, key=len), status, error=error)


def prompt_messages(system: str, branch: list[StoredMessage]) -> list[Message]:
    """What the model is told: the system prompt and the branch up to the last thing the user said.

    A message that was never answered because the request itself failed (a prompt too long for the model, say) is left out
    with its empty reply, or every later message would fail with it. Where a reply is missing because it was stopped before
    its first word, the user's two messages become one, since many chat templates insist on turns that alternate.

    Args:
        system: may be empty.
        branch: oldest first, the last one the user's.
    """
    failed = {turn.parent for turn in branch if turn.role == "assistant" and turn.status == "failed" and not turn.content}
    messages = [Message("system", system)] if system else []
    for turn in branch:
        if turn.id in failed or (turn.role == "assistant" and not turn.content):
            continue
        if messages and messages[-1].role == turn.role:
            messages[-1] = Message(turn.role, f"{messages[-1].content}\n\n{turn.content}")
        else:
            messages.append(Message(turn.role, turn.content))
    return messages
