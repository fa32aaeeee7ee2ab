// A conversation, whole: three users, one of them with two devices, and at the end a third. What each
// client has in memory then is what was done. `node whole.mjs URL TAG`; the tag makes the names new.

import { login, logout, main, register, start } from "./client.mjs";
import { talk, talkIsAnswered, talkIsSeen, threadLists, threads } from "./conversation.mjs";
import { receipts, receiptsAreSeen, typing, unread } from "./marks.mjs";
import { comes, kickAndBan, members, space, upgrade } from "./moderation.mjs";
import { personal, personalIsSeen, presence } from "./personal.mjs";
import { Story } from "./story.mjs";

const [url, tag] = process.argv.slice(2);

await main(async () => {
    const people = await arrive();
    const { desktop, phone, bob, carol } = people;
    const garden = await theGarden(people);
    const done = { said: await talk(garden, people) };
    await talkIsAnswered(garden, carol, done.said);
    done.threads = await threads(garden, people);
    done.marks = await receipts(garden, people, done.threads);
    await typing(garden, people);
    await personal(garden, people);
    await presence(people);
    for (const reader of garden.readers) await isAllSeen(garden, reader, done);
    done.marks = await unread(garden, people, done);

    await kickAndBan(garden, people);
    const carols = [...garden.entries];
    const next = await upgrade(garden, people);
    await space(next, people);

    const tablet = await login(desktop);
    await start(tablet, { lazy: true, initial: 2, threads: true });
    const views = [[desktop], [phone], [bob], [carol, carols], [tablet, garden.plain()]];
    for (const [reader, entries] of views) {
        await garden.isWhollyTold(reader, entries);
        await members(garden, reader, { alice: "join", bob: "join", carol: "ban" });
        await isAllSeen(garden, reader, done);
    }
    for (const reader of [desktop, phone, bob, tablet]) await next.isWhollyTold(reader);
    await personalIsSeen(garden, tablet);
    for (const client of [tablet, desktop, phone, bob, carol]) await logout(client);
});

async function isAllSeen(garden, reader, { said, threads, marks }) {
    await talkIsSeen(garden, reader, said);
    for (const thread of threads) await thread.isSeen(reader);
    await threadLists(garden, reader, threads);
    await receiptsAreSeen(garden, reader, marks);
}

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
    for (const client of [bob, carol]) await comes(story, desktop, client);
    return story;
}
