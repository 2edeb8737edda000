"""Who speaks the steps of a plan: one protocol, or several of which each user has a client, with one set of cookies."""

from __future__ import annotations

from typing import Protocol

from loadflow.engine.base.named import load_named
from loadflow.engine.generator.call_messages import Preparing
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.protocols.running.seam import Client, UserContext, UserProtocol, Watch

__all__ = ["ClientsOf", "OneClient", "Speakers", "UserClients"]


class Speakers:
    """The protocols of a plan by their user types, and what each is to know of the plan. Shared by all users of a process."""

    def __init__(self, plan: Plan) -> None:
        self.own = plan.protocol
        self.parts = {name: plan.part(name) for name in plan.protocols}
        self.protocols: dict[str, UserProtocol] = {name: load_named(part.speaker) for name, part in self.parts.items()}

    def preparing(self, user: str) -> Preparing:
        protocol = self.protocols[user]
        return protocol.prepare, protocol.gather

    def name_of(self, step: StepJson) -> str:
        """The user type that speaks the step."""
        return str(step.get("user", self.own))


class ClientsOf(Protocol):
    """What a step asks for the client that speaks it."""

    def of(self, speaker: str) -> Client: ...


class OneClient:
    """The same for all who ask."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def of(self, speaker: str) -> Client:
        return self._client


class UserClients:
    """One user's clients, each made when a step first needs it."""

    def __init__(self, speakers: Speakers, number: int, watch: Watch) -> None:
        self._speakers = speakers
        self._number = number
        self._watch = watch
        self._kept: dict[str, object] = {}
        self._clients: dict[str, Client] = {}

    def of(self, speaker: str) -> Client:
        client = self._clients.get(speaker)
        if client is None:
            context = UserContext(self._speakers.parts[speaker], self._number, self._watch, self._kept)
            client = self._clients[speaker] = self._speakers.protocols[speaker].new_client(context)
        return client

    def pass_ends(self) -> None:
        for speaker, client in self._clients.items():
            if (end := self._speakers.protocols[speaker].pass_ends) is not None:
                end(client)

    def close(self) -> None:
        """The one that was made last first."""
        while self._clients:
            self._clients.popitem()[1].close()
