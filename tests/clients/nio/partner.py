"""A user of matrix-nio who talks to one of matrix-js-sdk (../js/partner.mjs); they meet in the rooms
only. `python partner.py URL OWN_NAME OTHER_ID`."""

import sys

from person import Person, fails, main, ok, texts, until

URL, NAME, OTHER = sys.argv[1:]


async def scenario():
    me = await Person.register(URL, NAME)
    client = me.client
    await me.start()

    # A room made there.
    await until("the other's invitation", lambda: client.invited_rooms)
    (ours, invited), = client.invited_rooms.items()
    assert (invited.name, invited.inviter) == ("Between", OTHER), invited
    await ok(client.join(ours))
    await me.sees(ours, name="Between", topic="js and nio", members={me.id: me.id, OTHER: OTHER})
    await me.hears(ours, "js 3")
    await me.say(ours, "nio 1")
    await me.hears(ours, "js 4")
    (slip,) = await me.say(ours, "nio 2")
    await me.sees(ours, members={me.id: me.id, OTHER: "Jay"})
    await ok(client.room_redact(ours, slip))
    await ok(client.set_displayname("Nio"))
    await me.hears(ours, "js 5")
    await me.sees(ours, topic="settled", members={me.id: "Nio", OTHER: "Jay"})

    # A room made here, and the other thrown out of it.
    theirs = (await ok(client.room_create(name="Beyond"))).room_id
    await me.say(theirs, "nio 3")
    await ok(client.room_invite(theirs, OTHER))
    await me.hears(theirs, "js 6")
    await me.sees(theirs, members={me.id: "Nio", OTHER: "Jay"})
    await ok(client.room_kick(theirs, OTHER, "enough"))
    await me.sees(theirs, members={me.id: "Nio"})
    assert texts(await me.history(theirs)) == ["nio 3", "js 6"]

    await me.say(ours, "nio 4")
    everything = await me.history(ours)
    said = ["js 1", "js 2", "js 3", "nio 1", "js 4", "(redacted)", "js 5", "nio 4"]
    assert texts(everything) == said, texts(everything)
    await ok(client.room_leave(ours))
    await until("to have left", lambda: ours in me.left)
    await fails("M_FORBIDDEN", client.room_send(ours, "m.room.message", {"msgtype": "m.text", "body": "bye"}))
    await me.logout()


main(scenario())
