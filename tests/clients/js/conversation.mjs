// Messages, edits, reactions, a redaction, threads; and how clients must see them.

import assert from "node:assert/strict";
import { quiet, until } from "./client.mjs";
import { short, tell } from "./story.mjs";

const sender = (event) => short(event.getSender());

const text = (body) => ({ msgtype: "m.text", body });

/** By `client`, in the room's main timeline. */
export async function says(story, client, body, more = {}) {
    const { event_id: id } = await client.sendMessage(story.roomId, { ...text(body), ...more });
    return story.goesOn(`${short(client.getUserId())} says ${body}`, id);
}

async function edits(story, client, id, body) {
    const content = { ...text(`* ${body}`), "m.new_content": text(body), "m.relates_to": { rel_type: "m.replace", event_id: id } };
    const edit = await client.sendMessage(story.roomId, content);
    const who = short(client.getUserId());
    story.becomes(id, `${who} says ${body}`);
    await story.goesOn(`${who} edits`, edit.event_id);
}

const annotates = (key, id) => ({ "m.relates_to": { rel_type: "m.annotation", event_id: id, key } });

async function reacts(story, client, id, key) {
    const { event_id: reaction } = await client.sendEvent(story.roomId, "m.reaction", annotates(key, id));
    return story.goesOn(`${short(client.getUserId())} reacts ${key}`, reaction);
}

async function redacts(story, client, id, of) {
    const { event_id: redaction } = await client.redactEvent(story.roomId, id, undefined, { reason: "hush" });
    story.becomes(id, `${of} (redacted)`);
    await story.goesOn(`${short(client.getUserId())} redacts`, redaction);
}

/** Everybody talks; what was said, and how it must be seen. */
export async function talk(story, { desktop, phone, bob, carol }) {
    const hello = await says(story, desktop, "hello");
    const hi = await says(story, bob, "hi");
    await edits(story, bob, hi, "hi all");
    await edits(story, bob, hi, "hi everybody");
    await reacts(story, bob, hello, "👍");
    await reacts(story, carol, hello, "👍");
    await reacts(story, phone, hello, "🎉");
    const regretted = await reacts(story, bob, hello, "👎");
    await redacts(story, bob, regretted, "bob");
    const secret = await says(story, carol, "the key is below the mat");
    await redacts(story, desktop, secret, "carol");
    return { hello, hi, secret };
}

/** The relations are aggregated, in every reader's own containers and by the server. */
export async function talkIsSeen(story, reader, { hello, hi, secret }) {
    const room = reader.getRoom(story.roomId);
    await until(`${reader.getUserId()}'s reactions`, () => {
        const reactions = room.relations.getChildEventsForEvent(hello, "m.annotation", "m.reaction");
        const byKey = reactions.getSortedAnnotationsByKey().map(([key, events]) => [key, [...events].map(sender).sort()]);
        // A key stays when its last annotation is redacted.
        assert.deepEqual(byKey.filter(([, by]) => by.length > 0), [["👍", ["bob", "carol"]], ["🎉", ["alice"]]]);
        return true;
    });
    const edited = story.event(reader, hi);
    assert.equal(edited.getContent().body, "hi everybody");
    assert.equal(edited.getOriginalContent().body, "hi");
    assert.equal(edited.replacingEvent().getContent()["m.new_content"].body, "hi everybody");
    const gone = story.event(reader, secret);
    assert.equal(gone.getUnsigned().redacted_because.content.reason, "hush");
}

/** The same by `/relations`. */
export async function talkIsAnswered(story, reader, { hello, hi }) {
    const reactions = await reader.relations(story.roomId, hello, "m.annotation", "m.reaction", { dir: "f" });
    assert.deepEqual(reactions.events.map(tell), ["bob reacts 👍", "carol reacts 👍", "alice reacts 🎉"]);
    const edits = await reader.relations(story.roomId, hi, "m.replace", "m.room.message");
    assert.deepEqual(edits.events.map((edit) => edit.getContent().body), ["* hi everybody", "* hi all"]);
}

/** Two threads; Carol is in the first only. */
export async function threads(story, people) {
    const { desktop, phone, bob, carol } = people;
    const plants = await says(story, carol, "what do we plant?");
    const plan = new Thread(story, plants);
    const beans = await plan.reply(bob, "beans");
    await plan.reply(phone, "peas");
    await plan.reply(carol, "roses");
    await plan.edit(bob, beans, "broad beans");
    await plan.react(desktop, beans, "🌱");
    const rain = await says(story, desktop, "it rains");
    const weather = new Thread(story, rain);
    await weather.reply(bob, "at last");
    return [plan, weather];
}

/** What is in a thread: its root, and what relates to it or to one of its replies. */
class Thread {
    constructor(story, root) {
        Object.assign(this, { story, root, replies: [], related: [] });
    }

    async reply(client, body) {
        const room = client.getRoom(this.story.roomId);
        // What apps do before one writes into a thread that is new to them.
        const thread = room.getThread(this.root) ?? room.createThread(this.root, this.story.event(client, this.root), [], true);
        // Else it asks for the root while it sends, and takes the old count for the newest.
        await thread.updateThreadMetadata();
        const { event_id: id } = await client.sendMessage(this.story.roomId, this.root, text(body));
        this.replies.push({ id, line: `${short(client.getUserId())} says ${body}` });
        await this.goesOn();
        return id;
    }

    async edit(client, id, body) {
        const content = { ...text(`* ${body}`), "m.new_content": text(body), "m.relates_to": { rel_type: "m.replace", event_id: id } };
        const who = short(client.getUserId());
        const edit = await client.sendMessage(this.story.roomId, this.root, content);
        this.replies.find((reply) => reply.id === id).line = `${who} says ${body}`;
        this.related.push({ id: edit.event_id, line: `${who} edits` });
        await this.goesOn();
    }

    async react(client, id, key) {
        const reaction = await client.sendEvent(this.story.roomId, this.root, "m.reaction", annotates(key, id));
        this.related.push({ id: reaction.event_id, line: `${short(client.getUserId())} reacts ${key}` });
        await this.goesOn();
    }

    /** A reply as the reader has it. */
    event(reader, id) {
        return reader.getRoom(this.story.roomId).getThread(this.root).findEventById(id);
    }

    /** The reader's user has written in it, be it the root. */
    isOf(reader) {
        const events = [{ line: tell(this.story.event(reader, this.root)) }, ...this.replies];
        return events.some((event) => event.line.startsWith(short(reader.getUserId())));
    }

    async goesOn() {
        for (const reader of this.story.readers) {
            await this.isSeen(reader);
            await this.story.isTold(reader);
        }
        // A client asks for the root now and then, and takes the answer for the newest even if a reply came meanwhile.
        await quiet();
    }

    /** The reader's own thread has these replies; the main timeline is as it was. */
    async isSeen(reader) {
        const room = reader.getRoom(this.story.roomId);
        await until(`the thread of ${reader.getUserId()} ${reader.getDeviceId()}`, () => {
            const thread = room.getThread(this.root);
            assert(thread.initialEventsFetched);
            const told = thread.events.filter((event) => event.getId() !== this.root);
            const [related, replies] = partition(told, (event) => event.isRelation("m.thread"));
            assert(told.every((event) => event.status === null));
            const pairs = (events) => events.map((event) => ({ id: event.getId(), line: tell(event) }));
            assert.deepEqual(pairs(replies), this.replies);
            assert.deepEqual(pairs(related), this.related);
            assert.equal(thread.rootEvent.getId(), this.root);
            assert.equal(thread.length, this.replies.length);
            assert.equal(thread.replyToEvent.getId(), this.replies.at(-1).id);
            return true;
        });
    }
}

function partition(events, is) {
    return [events.filter((event) => !is(event)), events.filter(is)];
}

/** The reader's lists of all threads and of those it is in, by `/threads`: the newest reply last. */
export async function threadLists(story, reader, threads) {
    const room = reader.getRoom(story.roomId);
    await room.createThreadsTimelineSets();
    await room.fetchRoomThreads();
    const roots = room.threadsTimelineSets.map((set) => set.getLiveTimeline().getEvents().map((event) => event.getId()));
    assert.deepEqual(roots, [threads, threads.filter((thread) => thread.isOf(reader))].map((list) => list.map((thread) => thread.root)));
}
