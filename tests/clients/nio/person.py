"""What the scenarios share: users of matrix-nio as it is, and waiting."""

import asyncio
import ssl
import sys
import time
import traceback
from collections import defaultdict

import nio

PASSWORD = "correct horse battery"

# Shorter than the long-polls: what comes within it has woken them.
PATIENCE = 25
LONG_POLL_MS = 60_000

# "GET /path" of what was asked for and is not served.
unserved = set()


def note(response):
    """Notes what the server does not know."""
    sent = response.transport_response
    error = isinstance(response, nio.ErrorResponse)
    # Of some answers nio takes an error for a success without content.
    if response.status_code == "M_UNRECOGNIZED" if error else sent.status == 404:
        parts = sent.url.path.split("/")
        path = "/".join("*" if part[:1] in tuple("!#$@") and part else part for part in parts)
        unserved.add(f"{sent.method} {path}")


async def ok(request):
    """The answer, which is no error."""
    response = await request
    note(response)
    assert not isinstance(response, nio.ErrorResponse), f"{response} to {response.transport_response}"
    return response


async def fails(errcode, request):
    """The answer must be that Matrix error."""
    response = await request
    assert getattr(response, "status_code", None) == errcode, f"{errcode} expected, not {response}"


async def until(what, check):
    """Waits until `check()` is true; what is not there yet is not."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            found = check()
        except KeyError:
            found = None
        if found:
            return found
        await asyncio.sleep(0.03)
    raise AssertionError(f"waited in vain for {what}")


def text(event):
    """What an event says; None if it is no message."""
    if isinstance(event, nio.RedactedEvent) and event.type == "m.room.message":
        return "(redacted)"
    return event.body if isinstance(event, nio.RoomMessageText) else None


def texts(events):
    return [said for said in map(text, events) if said is not None]


class Person:
    """A client that syncs on its own, and what it was told."""

    def __init__(self, url, name, ca_file=None):
        context = ssl.create_default_context(cafile=ca_file) if ca_file else None
        # An error is to be an answer, not a reason to try for ever.
        config = nio.AsyncClientConfig(max_limit_exceeded=5, max_timeouts=3)
        self.client = nio.AsyncClient(url, name, config=config, ssl=context)
        self.heard = defaultdict(list)
        self.left = set()
        self.syncing = None
        self.client.add_event_callback(self._event, nio.Event)
        self.client.add_response_callback(self._synced, nio.SyncResponse)
        self.client.add_response_callback(note, nio.ErrorResponse)

    async def _event(self, room, event):
        self.heard[room.room_id].append(event)

    async def _synced(self, response):
        self.left |= set(response.rooms.leave)
        self.left -= set(response.rooms.join)

    @classmethod
    async def register(cls, url, name, ca_file=None):
        person = cls(url, name, ca_file)
        await ok(person.client.register(name, PASSWORD))
        return person

    async def start(self, **sync):
        """Syncs from now on, by long-polls."""
        self.syncing = asyncio.create_task(self.client.sync_forever(LONG_POLL_MS, **sync))
        await asyncio.wait_for(self.client.synced.wait(), PATIENCE)

    @property
    def id(self):
        return self.client.user_id

    def room(self, room_id):
        return self.client.rooms[room_id]

    def view(self, room_id):
        """The room as the client has it in memory."""
        room = self.room(room_id)
        members = {user.user_id: user.name for user in room.users.values() if not user.invited}
        return {"name": room.display_name, "topic": room.topic, "members": members}

    def heard_texts(self, room_id):
        return texts(self.heard[room_id])

    async def sees(self, room_id, **expected):
        """Waits until the client's view has these values."""

        def same():
            found = self.view(room_id)
            return all(found[key] == value for key, value in expected.items())

        try:
            await until(f"{self.id}'s view", same)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.view(room_id)}, not {expected}") from None

    async def hears(self, room_id, said):
        await until(f"{self.id} to hear {said}", lambda: said in self.heard_texts(room_id))

    async def say(self, room_id, *bodies):
        """The ids of the messages."""
        ids = []
        for body in bodies:
            content = {"msgtype": "m.text", "body": body}
            ids.append((await ok(self.client.room_send(room_id, "m.room.message", content))).event_id)
        return ids

    async def history(self, room_id, limit=5):
        """All events of the room, oldest first, by paging backwards."""
        events, start = [], None
        for _page in range(50):
            page = await ok(self.client.room_messages(room_id, start, limit=limit))
            events += page.chunk
            assert len(page.chunk) <= limit, page
            if page.end is None:
                events.reverse()
                assert isinstance(events[0], nio.RoomCreateEvent), events[0]
                return events
            start = page.end
        raise AssertionError("paging backwards does not end")

    async def logout(self):
        """Ends the session; its token is worth nothing after it."""
        token = self.client.access_token
        await self.stop()
        await ok(self.client.logout())
        self.client.access_token = token
        await fails("M_UNKNOWN_TOKEN", self.client.whoami())
        await self.client.close()

    async def stop(self):
        if self.syncing:
            self.syncing.cancel()
            await asyncio.gather(self.syncing, return_exceptions=True)


def main(scenario):
    """Runs a scenario and ends the process: 0 if it went well."""
    try:
        asyncio.run(asyncio.wait_for(scenario, 110))
    except BaseException:
        traceback.print_exc()
        print("FAILED", file=sys.stderr)
        sys.exit(1)
    for request in sorted(unserved):
        print(f"not served: {request}")
