// What the members of a room tell each other by the way: how far they have read, and that they type.
// And what is unread.

import assert from "node:assert/strict";
import { until } from "./client.mjs";
import { says } from "./conversation.mjs";

/** Each reads in another way; the newest receipts of all, by reader. */
export async function receipts(story, { desktop, phone, bob, carol }, [plan, weather]) {
    const rain = weather.root;
    const beans = plan.replies[0].id;
    const at = "m.read";
    const secretly = "m.read.private";
    await phone.sendReadReceipt(story.event(phone, rain), secretly);
    await bob.sendReadReceipt(story.event(bob, rain));
    await bob.sendReadReceipt(plan.event(bob, beans));
    // An older one moves nothing.
    await bob.sendReadReceipt(story.event(bob, plan.root));
    await carol.sendReadReceipt(story.event(carol, rain), at, true);
    const marks = [
        { who: bob, kind: at, thread: "main", event: rain, isPublic: true },
        { who: bob, kind: at, thread: plan.root, event: beans, isPublic: true },
        { who: carol, kind: at, event: rain, isPublic: true },
        // The last, so that it would have been seen.
        { who: desktop, kind: secretly, thread: "main", event: rain, isPublic: false },
    ];
    for (const reader of story.readers) await receiptsAreSeen(story, reader, marks);
    return marks;
}

export async function receiptsAreSeen(story, reader, marks) {
    const room = reader.getRoom(story.roomId);
    await until(`the receipts of ${reader.getUserId()}`, () => {
        for (const { who, kind, thread, event, isPublic } of marks) {
            const user = who.getUserId();
            const place = thread === undefined || thread === "main" ? room : room.getThread(thread);
            const receipt = place.getReadReceiptForUserId(user, true, kind);
            if (isPublic || user === reader.getUserId()) {
                assert.equal(receipt?.eventId, event);
                assert.equal(receipt.data.thread_id, thread);
                assert.equal(place.getEventReadUpTo(user, true), event);
            } else {
                assert.equal(receipt, null);
            }
        }
        return true;
    });
}

/** Bob types, and stops. */
export async function typing(story, { bob }) {
    for (const is of [true, false]) {
        await bob.sendTyping(story.roomId, is, 60_000);
        for (const reader of story.readers) {
            await until(`typing is ${is}`, () => reader.getRoom(story.roomId).getMember(bob.getUserId()).typing === is);
        }
    }
}

/** Alice's two devices and Carol count what Bob says, until it is read; the receipts then. */
export async function unread(story, { desktop, phone, bob, carol }, { threads: [, weather], marks }) {
    const alice = [desktop, phone];
    // The newest event of all is not in the main timeline.
    const last = weather.replies.at(-1).id;
    await phone.sendReadReceipt(weather.event(phone, last), "m.read.private", true);
    await carol.sendReadReceipt(weather.event(carol, last), "m.read", true);
    for (const client of [...alice, carol]) await counts(story, client, [0, 0], weather, [0, 0]);

    await says(story, bob, "tea?");
    const look = await says(story, bob, "alice, look", { "m.mentions": { user_ids: [desktop.getUserId()] } });
    await weather.reply(bob, "and again");
    for (const client of alice) await counts(story, client, [2, 1], weather, [1, 0]);
    await counts(story, carol, [2, 0], weather, [1, 0]);
    await phone.sendReadReceipt(story.event(phone, look), "m.read.private");
    for (const client of alice) await counts(story, client, [0, 0], weather, [1, 0]);
    await phone.sendReadReceipt(weather.event(phone, weather.replies.at(-1).id), "m.read.private");
    for (const client of alice) await counts(story, client, [0, 0], weather, [0, 0]);

    // A room's rule: Alice wants to hear nothing; her other device knows.
    await desktop.addPushRule("global", "room", story.roomId, { actions: [] });
    const rule = () => phone.pushRules.global.room.find((rule) => rule.rule_id === story.roomId);
    await until("the rule", rule);
    await says(story, bob, "more tea?");
    await counts(story, carol, [3, 0], weather, [1, 0]);
    for (const client of alice) await counts(story, client, [0, 0], weather, [0, 0]);
    await desktop.deletePushRule("global", "room", story.roomId);
    await until("no rule", () => !rule());
    await says(story, bob, "cake?");
    for (const client of alice) await counts(story, client, [1, 0], weather, [0, 0]);
    const secret = { who: desktop, kind: "m.read.private", isPublic: false };
    return [
        ...marks.filter(({ who }) => who === bob),
        { who: carol, kind: "m.read", event: last, isPublic: true },
        { ...secret, thread: "main", event: look },
        { ...secret, thread: weather.root, event: weather.replies.at(-1).id },
    ];
}

/** How many events are unread, and how many of them are highlights: in the main timeline, and in the thread. */
async function counts(story, client, main, thread, inThread) {
    const room = client.getRoom(story.roomId);
    await until(`the counts of ${client.getUserId()} ${client.getDeviceId()}`, () => {
        const both = (count) => ["total", "highlight"].map(count);
        assert.deepEqual(both((type) => room.getRoomUnreadNotificationCount(type)), main);
        assert.deepEqual(both((type) => room.getThreadUnreadNotificationCount(thread.root, type)), inThread);
        return true;
    });
}
