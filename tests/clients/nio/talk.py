"""Two users of matrix-nio, one of them by TLS. `python talk.py URL TLS_URL CA_FILE TAG`; the tag makes the names new."""

import sys

import nio

from person import PASSWORD, Person, fails, main, note, ok, texts, until

URL, TLS_URL, CA_FILE, TAG = sys.argv[1:]


async def scenario():
    alice = await Person.register(URL, f"nio-alice-{TAG}")
    bob = await Person.register(TLS_URL, f"nio-bob-{TAG}", CA_FILE)
    again = Person(URL, f"nio-alice-{TAG}")
    await fails("M_USER_IN_USE", again.client.register(f"nio-alice-{TAG}", PASSWORD))
    await again.client.close()
    assert (await ok(alice.client.whoami())).user_id == alice.id
    await alice.start(full_state=True)
    lazy = await ok(bob.client.upload_filter(room={"state": {"lazy_load_members": True}, "timeline": {"limit": 5}}))
    await bob.start(sync_filter=lazy.filter_id)

    tea = await invitation(alice, bob)
    said = await talk(alice, bob, tea)
    await history(alice, bob, tea, said)
    await public_room(alice, bob)
    await second_device(alice, tea, said)
    await optional(alice, tea)

    await ok(bob.client.room_leave(tea))
    await until("bob to have left", lambda: tea in bob.left)
    await alice.sees(tea, members={alice.id: "Alice"})
    await fails("M_FORBIDDEN", bob.client.room_send(tea, "m.room.message", {"msgtype": "m.text", "body": "still here?"}))
    await alice.logout()
    await bob.logout()


async def invitation(alice, bob):
    """Alice makes a room and talks alone; Bob is invited, sees so, and joins."""
    tea = (await ok(alice.client.room_create(name="Tea", preset=nio.RoomPreset.private_chat))).room_id
    await alice.say(tea, "a1", "a2", "a3", "a4", "a5", "a6")
    await fails("M_FORBIDDEN", bob.client.join(tea))
    await ok(alice.client.room_invite(tea, bob.id))
    invited = await until("bob's invitation", lambda: bob.client.invited_rooms[tea])
    assert (invited.name, invited.inviter) == ("Tea", alice.id), invited
    await ok(bob.client.join(tea))
    await alice.sees(tea, name="Tea", members={alice.id: alice.id, bob.id: bob.id})
    await bob.sees(tea, name="Tea")
    assert tea not in bob.client.invited_rooms
    return tea


async def talk(alice, bob, tea):
    """Both talk, a message is redacted, the topic and a name change; what was said."""
    await bob.say(tea, "b1")
    await alice.hears(tea, "b1")
    await alice.say(tea, "a7")
    await bob.hears(tea, "a7")
    (slip,) = await bob.say(tea, "b2")
    await alice.hears(tea, "b2")
    await ok(alice.client.room_redact(tea, slip, "hush"))
    for person in (alice, bob):
        await until("the redaction", lambda: any(getattr(event, "redacts", None) == slip for event in person.heard[tea]))
    gone = (await ok(bob.client.room_get_event(tea, slip))).event
    assert isinstance(gone, nio.RedactedEvent) and gone.reason == "hush", gone
    await fails("M_FORBIDDEN", bob.client.update_room_topic(tea, "mutiny"))
    await ok(alice.client.update_room_topic(tea, "Green or black?"))
    await ok(alice.client.set_displayname("Alice"))
    for person in (alice, bob):
        await person.sees(tea, topic="Green or black?", members={alice.id: "Alice", bob.id: bob.id})
    assert (await ok(bob.client.get_displayname(alice.id))).displayname == "Alice"
    return ["a1", "a2", "a3", "a4", "a5", "a6", "b1", "a7", "(redacted)"]


async def history(alice, bob, tea, said):
    """Both page back to the beginning and get the same; members and state, asked directly, fit."""
    pages = [await person.history(tea) for person in (alice, bob)]
    for events in pages:
        assert texts(events) == said, texts(events)
    first, second = ([event.event_id for event in events] for events in pages)
    assert first == second and len(set(first)) == len(first)
    for person in (alice, bob):
        joined = (await ok(person.client.joined_members(tea))).members
        names = {member.user_id: member.display_name for member in joined}
        assert names == {alice.id: "Alice", bob.id: None}, names
        state = (await ok(person.client.room_get_state(tea))).events
        by_key = {(event["type"], event["state_key"]): event["content"] for event in state}
        assert by_key["m.room.name", ""] == {"name": "Tea"}
        assert by_key["m.room.member", bob.id]["membership"] == "join"
        topic = (await ok(person.client.room_get_state_event(tea, "m.room.topic"))).content
        assert topic == by_key["m.room.topic", ""] and topic["topic"] == "Green or black?", topic


async def public_room(alice, bob):
    """Joined by its alias; then Bob is kicked, and comes back."""
    square = (
        await ok(
            alice.client.room_create(
                nio.RoomVisibility.public, f"nio-square-{TAG}", "Square", "Everyone", preset=nio.RoomPreset.public_chat
            )
        )
    ).room_id
    alias = f"#nio-square-{TAG}:{alice.id.partition(':')[2]}"
    assert (await ok(bob.client.join(alias))).room_id == square
    await bob.sees(square, name="Square", topic="Everyone")
    assert (bob.room(square).canonical_alias, bob.room(square).join_rule) == (alias, "public")
    await bob.say(square, "hello all")
    await alice.hears(square, "hello all")
    assert square in (await ok(bob.client.joined_rooms())).rooms
    await ok(alice.client.room_kick(square, bob.id, "too loud"))
    await until("bob to be kicked", lambda: square in bob.left)
    await alice.sees(square, members={alice.id: "Alice"})
    assert square not in (await ok(bob.client.joined_rooms())).rooms
    await ok(bob.client.join(square))
    await until("bob to be back", lambda: square not in bob.left)
    await alice.sees(square, members={alice.id: "Alice", bob.id: bob.id})


async def second_device(alice, tea, said):
    """A new session has the same view at once."""
    device = Person(URL, alice.id)
    await fails("M_FORBIDDEN", device.client.login("wrong"))
    await ok(device.client.login(PASSWORD, device_name="second"))
    assert device.client.device_id != alice.client.device_id
    await device.start()
    assert device.view(tea) == alice.view(tea), device.view(tea)
    assert texts(await device.history(tea, limit=100)) == said
    await device.logout()
    await ok(alice.client.whoami())


async def optional(alice, tea):
    """What clients ask for along the way. It works or is unknown to the server."""
    (last,) = await alice.say(tea, "the last word")
    client = alice.client
    requests = [
        client.room_typing(tea),
        client.room_read_markers(tea, last, last),
        client.update_receipt_marker(tea, last),
        client.set_presence("unavailable"),
        client.get_presence(alice.id),
        client.list_public_rooms(limit=1),
        client.room_resolve_alias(f"#nio-square-{TAG}:{alice.id.partition(':')[2]}"),
        client.room_get_visibility(tea),
        client.devices(),
        client.content_repository_config(),
        client.room_context(tea, last),
        client.get_openid_token(alice.id),
        client.space_get_hierarchy(tea),
        client.discovery_info(),
    ]
    for request in requests:
        response = await request
        note(response)
        status = getattr(response, "status_code", None)
        assert status in (None, "M_UNRECOGNIZED"), f"{response} to {response.transport_response}"
    # The sync loop goes on.
    await alice.say(tea, "and still we talk")
    await alice.hears(tea, "and still we talk")


main(scenario())
