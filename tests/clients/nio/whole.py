"""A conversation, whole: Alice with two devices, and Bob. `python whole.py URL TAG`; the tag makes the names new."""

import sys

import nio

from person import PASSWORD, Person, fails, main, ok, texts, until

URL, TAG = sys.argv[1:]


async def scenario():
    alice = await Person.register(URL, f"whole-alice-{TAG}")
    bob = await Person.register(URL, f"whole-bob-{TAG}")
    phone = Person(URL, alice.id)
    await ok(phone.client.login(PASSWORD, device_name="phone"))
    everybody = (alice, phone, bob)
    for person in everybody:
        await person.start()

    shed = await meet(alice, phone, bob)
    said = await talk(everybody, shed)
    await answers(bob, shed, said)
    await marks(everybody, shed, said)
    await presence(alice, bob)
    await space(alice, bob, shed)
    await kick_and_ban(alice, phone, bob, shed)
    for person in everybody:
        await person.logout()


async def meet(alice, phone, bob):
    shed = (await ok(alice.client.room_create(name="Shed", preset=nio.RoomPreset.private_chat))).room_id
    await ok(alice.client.room_invite(shed, bob.id))
    await until("bob's invitation", lambda: bob.client.invited_rooms[shed])
    await ok(bob.client.join(shed))
    for person in (alice, phone, bob):
        await person.sees(shed, name="Shed", members={alice.id: alice.id, bob.id: bob.id})
        joined = (await ok(person.client.joined_members(shed))).members
        assert {member.user_id for member in joined} == {alice.id, bob.id}, joined
    return shed


async def heard(everybody, room, event_id):
    """Waits until all have the event by sync; as each has it."""

    def find(person):
        return next((event for event in person.heard[room] if event.event_id == event_id), None)

    return [await until(f"{person.id} to hear {event_id}", lambda: find(person)) for person in everybody]


async def send(person, room, type, content):
    return (await ok(person.client.room_send(room, type, content))).event_id


async def talk(everybody, shed):
    """Said, edited, reacted to, answered in a thread; the ids."""
    alice, phone, bob = everybody
    (hello,) = await phone.say(shed, "helo")
    await heard(everybody, shed, hello)
    new = {"msgtype": "m.text", "body": "hello"}
    relates = {"rel_type": "m.replace", "event_id": hello}
    content = {"msgtype": "m.text", "body": "* hello", "m.new_content": new, "m.relates_to": relates}
    edit = await send(alice, shed, "m.room.message", content)
    for event in await heard(everybody, shed, edit):
        assert event.source["content"]["m.new_content"] == new, event
    relates = {"rel_type": "m.annotation", "event_id": hello, "key": "👍"}
    reaction = await send(bob, shed, "m.reaction", {"m.relates_to": relates})
    for event in await heard(everybody, shed, reaction):
        assert isinstance(event, nio.ReactionEvent) and (event.reacts_to, event.key) == (hello, "👍"), event
    relates = {"rel_type": "m.thread", "event_id": hello}
    content = {"msgtype": "m.text", "body": "in the thread", "m.relates_to": relates}
    reply = await send(bob, shed, "m.room.message", content)
    await heard(everybody, shed, reply)
    (last,) = await bob.say(shed, "bye")
    await heard(everybody, shed, last)
    return {"hello": hello, "edit": edit, "reaction": reaction, "reply": reply, "last": last}


async def answers(bob, shed, said):
    """The same, asked for: the event's context, its relations, the threads."""
    context = await ok(bob.client.room_context(shed, said["hello"], limit=4))
    assert context.event.event_id == said["hello"]
    assert [event.event_id for event in context.events_after] == [said["edit"], said["reaction"]], context
    assert len(context.events_before) == 2
    related = bob.client.room_get_event_relations(shed, said["hello"])
    assert [event.event_id async for event in related] == [said["reply"], said["reaction"], said["edit"]]
    threads = bob.client.room_get_threads(shed)
    assert [event.event_id async for event in threads] == [said["hello"]]
    event = (await ok(bob.client.room_get_event(shed, said["hello"]))).event
    bundle = event.source["unsigned"]["m.relations"]
    assert bundle["m.replace"]["event_id"] == said["edit"], bundle
    thread = bundle["m.thread"]
    assert (thread["count"], thread["latest_event"]["event_id"]) == (1, said["reply"]), thread
    assert texts(await bob.history(shed)) == ["helo", "* hello", "in the thread", "bye"]


async def marks(everybody, shed, said):
    """Receipts, the marker of what is fully read, typing."""
    alice, phone, bob = everybody
    await ok(alice.client.room_read_markers(shed, said["hello"], said["last"]))
    for person in everybody:
        receipt = await until("alice's receipt", lambda: person.room(shed).read_receipts[alice.id])
        assert (receipt.event_id, receipt.receipt_type) == (said["last"], "m.read"), receipt
    for device in (alice, phone):
        await until("the marker", lambda: device.room(shed).fully_read_marker == said["hello"])
        await until("nothing unread", lambda: device.room(shed).unread_notifications == 0)
    assert bob.room(shed).fully_read_marker is None
    await ok(bob.client.update_receipt_marker(shed, said["reply"], thread_id=said["hello"]))
    for person in everybody:
        receipts = await until("bob's receipt", lambda: person.room(shed).threaded_read_receipts[bob.id])
        assert receipts[said["hello"]].event_id == said["reply"], receipts
    # Now two are unread, of which one is for Alice.
    mentions = {"msgtype": "m.text", "body": "alice!", "m.mentions": {"user_ids": [alice.id]}}
    await bob.say(shed, "are you there?")
    await send(bob, shed, "m.room.message", mentions)
    for device in (alice, phone):
        room = device.room(shed)
        await until("unread counts", lambda: (room.unread_notifications, room.unread_highlights) == (2, 1))
    for is_typing in (True, False):
        await ok(bob.client.room_typing(shed, is_typing, 60_000))
        for person in everybody:
            await until("typing", lambda: person.room(shed).typing_users == ([bob.id] if is_typing else []))


async def presence(alice, bob):
    await ok(alice.client.set_presence("online", "sawing"))
    user = next(iter(bob.client.rooms.values())).users[alice.id]
    await until("alice's presence", lambda: (user.presence, user.status_msg) == ("online", "sawing"))
    told = await ok(bob.client.get_presence(alice.id))
    assert (told.presence, told.status_msg) == ("online", "sawing"), told


async def space(alice, bob, shed):
    yard = (await ok(alice.client.room_create(name="Yard", space=True, invite=[bob.id]))).room_id
    via = {"via": [alice.id.partition(":")[2]]}
    await ok(alice.client.room_put_state(yard, "m.space.child", via, shed))
    await ok(bob.client.join(yard))
    for person in (alice, bob):
        await until("the space's child", lambda: shed in person.room(yard).children)
        assert person.room(yard).room_type == "m.space"
        rooms = (await ok(person.client.space_get_hierarchy(yard))).rooms
        assert [(room["room_id"], room["name"]) for room in rooms] == [(yard, "Yard"), (shed, "Shed")], rooms


async def kick_and_ban(alice, phone, bob, shed):
    content = {"msgtype": "m.text", "body": "and me?"}
    for end in (alice.client.room_kick, alice.client.room_ban):
        await ok(end(shed, bob.id, "sawdust"))
        await until("bob to be out", lambda: shed in bob.left)
        for device in (alice, phone):
            await device.sees(shed, members={alice.id: alice.id})
        await fails("M_FORBIDDEN", bob.client.room_send(shed, "m.room.message", content))
        if end == alice.client.room_kick:
            await ok(alice.client.room_invite(shed, bob.id))
            await ok(bob.client.join(shed))
            await until("bob to be back", lambda: shed not in bob.left)
            await phone.sees(shed, members={alice.id: alice.id, bob.id: bob.id})
    await fails("M_FORBIDDEN", bob.client.join(shed))
    await ok(alice.client.room_unban(shed, bob.id))
    await fails("M_FORBIDDEN", bob.client.join(shed))


main(scenario())
