// A conversation, whole: three users, one of them with two devices, and later a third. What each client
// has in memory at the end is what was done. `node whole.mjs URL TAG`; the tag makes the names new.

import assert from "node:assert/strict";
import { login, logout, main, register, start, until } from "./client.mjs";
import { talk, talkIsAnswered, talkIsSeen, threadLists, threads } from "./conversation.mjs";
import { Story } from "./story.mjs";

const [url, tag] = process.argv.slice(2);

await main(async () => {
    const people = await arrive();
    const { desktop, phone, bob, carol } = people;
    const garden = await theGarden(people);
    const said = await talk(garden, people);
    for (const reader of garden.readers) await talkIsSeen(garden, reader, said);
    await talkIsAnswered(garden, carol, said);
    const inThreads = await threads(garden, people);
    const tablet = await login(desktop);
    await start(tablet, { lazy: true, initial: 2, threads: true });
    for (const reader of [...garden.readers, tablet]) {
        await garden.isWhollyTold(reader, reader === tablet ? garden.plain() : undefined);
        await talkIsSeen(garden, reader, said);
        for (const thread of inThreads) await thread.isSeen(reader);
        await threadLists(garden, reader, inThreads);
    }
    for (const client of [tablet, desktop, phone, bob, carol]) await logout(client);
});

async function arrive() {
    const [desktop, bob, carol] = await Promise.all(
        ["alice", "bob", "carol"].map((name) => register(url, `story-${name}-${tag}`)));
    const phone = await login(desktop);
    const people = { desktop, phone, bob, carol };
    await Promise.all(Object.values(people).map((client) => start(client, { lazy: client === phone, threads: true })));
    return people;
}

/** Alice's room, which the others are invited to and join. */
async function theGarden({ desktop, phone, bob, carol }) {
    const { room_id: roomId } = await desktop.createRoom({ name: "Garden", preset: "private_chat", room_version: "11" });
    const story = new Story(roomId, [desktop, phone]);
    await story.goesOnWith(
        "alice m.room.create", "alice join alice", "alice m.room.power_levels", "alice m.room.join_rules",
        "alice m.room.history_visibility", "alice m.room.guest_access", "alice m.room.name");
    for (const [name, client] of Object.entries({ bob, carol })) await comes(story, desktop, client, name);
    return story;
}

/** Invited by `host`, the guest joins. */
export async function comes(story, host, guest, name) {
    await host.invite(story.roomId, guest.getUserId());
    await story.goesOn(`alice invite ${name}`);
    await until(`${name}'s invitation`, () => guest.getRoom(story.roomId)?.getMyMembership() === "invite");
    await guest.joinRoom(story.roomId);
    story.readers.push(guest);
    await story.goesOn(`${name} join ${name}`);
}
