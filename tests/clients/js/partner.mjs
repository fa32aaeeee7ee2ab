// A user of matrix-js-sdk who talks to one of matrix-nio (../nio/partner.py); they meet in the rooms
// only. `node partner.mjs URL OWN_NAME OTHER_ID`.

import assert from "node:assert/strict";
import { fails, logout, main, register, say, scrollToStart, sees, start, until, view } from "./client.mjs";

const [url, name, other] = process.argv.slice(2);

await main(async () => {
    const client = await register(url, name);
    const me = client.getUserId();
    await start(client, { lazy: true, timeline: 50 });

    // A room made here; the other is invited and comes.
    const invite = [other];
    const { room_id: ours } = await client.createRoom({ name: "Between", topic: "js and nio", preset: "private_chat", invite });
    // An own message sent before the room has come by sync would be shown out of order.
    await until("the room", () => client.getRoom(ours));
    await say(client, ours, "js 1", "js 2", "js 3");
    await sees(client, ours, { name: "Between", topic: "js and nio", members: { [me]: me, [other]: other } });
    const heard = (text) => until(`"${text}"`, () => view(client, ours).texts.includes(text));
    await heard("nio 1");
    await say(client, ours, "js 4");
    await heard("nio 2");
    await client.setDisplayName("Jay");

    // The other redacts its last words, which were seen, and takes a name.
    const gone = ["js 1", "js 2", "js 3", "nio 1", "js 4", "(redacted)"];
    await sees(client, ours, { texts: gone, members: { [me]: "Jay", [other]: "Nio" } });
    await client.setRoomTopic(ours, "settled");
    await say(client, ours, "js 5");

    // A room made there.
    const theirs = await until("the other's invitation", () =>
        client.getRooms().find((room) => room.getMyMembership() === "invite"));
    assert.equal(theirs.name, "Beyond");
    await client.joinRoom(theirs.roomId);
    await sees(client, theirs.roomId, { name: "Beyond", members: { [me]: "Jay", [other]: "Nio" } });
    await scrollToStart(client, theirs.roomId);
    await sees(client, theirs.roomId, { texts: ["nio 3"] });
    await say(client, theirs.roomId, "js 6");
    // Which is the sign for the other to throw this one out.
    await until("the kick", () => client.getRoom(theirs.roomId).getMyMembership() === "leave");
    const kick = client.getRoom(theirs.roomId).getMember(me).events.member;
    assert.deepEqual([kick.getSender(), kick.getContent().reason], [other, "enough"]);
    await fails("M_FORBIDDEN", client.sendTextMessage(theirs.roomId, "why?"));

    // And the other goes, which ends the first room.
    await sees(client, ours, { topic: "settled", members: { [me]: "Jay" }, texts: [...gone, "js 5", "nio 4"] });
    await scrollToStart(client, ours);
    await sees(client, ours, { texts: [...gone, "js 5", "nio 4"] });
    await logout(client);
});
