// A room's story: what was done in it, in order, and whether the clients' own views tell the same.

import assert from "node:assert/strict";
import { scrollToStart, until } from "./client.mjs";

/** The short name of a user: names are "story-alice-<tag>". */
export function short(userId) {
    return userId.split("-")[1];
}

/** An event in words, with what edits and redactions made of it. */
export function tell(event) {
    const content = event.getContent();
    return `${short(event.getSender())} ${words(event, content)}`;
}

function words(event, content) {
    if (event.isRedacted()) return "(redacted)";
    if (event.isRelation("m.replace")) return "edits";
    switch (event.getType()) {
        case "m.room.message": return `says ${content.body}`;
        case "m.reaction": return `reacts ${content["m.relates_to"].key}`;
        case "m.room.redaction": return "redacts";
        case "m.room.member": return `${content.membership} ${short(event.getStateKey())}`;
        default: return event.getType();
    }
}

export class Story {
    /** Of one room, in whose timeline `entries` are; `readers` are in it. */
    constructor(roomId, readers) {
        Object.assign(this, { roomId, readers, entries: [] });
    }

    /** It was done, and is the last that the readers have; `id` if the server has told it. */
    async goesOn(line, id) {
        this.entries.push({ line, id });
        for (const reader of this.readers) await this.isTold(reader);
        // Who sees an event for the first time says what its id is for all who see it later.
        const events = timeline(this.readers[0], this.roomId);
        this.entries.at(-1).id ??= events.at(-1).getId();
        return this.entries.at(-1).id;
    }

    async goesOnWith(...lines) {
        for (const line of lines) this.entries.push({ line });
        for (const reader of this.readers) await this.isTold(reader);
    }

    /** A new room begins with these, in an order that is the server's choice. */
    async begins(...lines) {
        await until("the new room", () => {
            const events = timeline(this.readers[0], this.roomId);
            this.entries = events.map((event) => ({ line: tell(event), id: event.getId() }));
            assert.deepEqual(this.entries.map((entry) => entry.line).sort(), lines.sort());
            return true;
        });
        for (const reader of this.readers) await this.isTold(reader);
    }

    /** An event was edited or redacted: it tells something else from now on. */
    becomes(id, line) {
        this.entries.find((entry) => entry.id === id).line = line;
    }

    /** The reader's live timeline is the end of the story, `entries` or less of it. */
    async isTold(reader, entries = this.entries) {
        await until(`${reader.getUserId()} ${reader.getDeviceId()} to tell the story`, () => {
            const told = timeline(reader, this.roomId);
            const expected = entries.slice(-told.length);
            assert.deepEqual(told.map(tell), expected.map((entry) => entry.line));
            // What was sent from here must have come back by sync, too.
            assert(told.every((event) => event.status === null));
            assert.deepEqual(told.map((event) => event.getId()), expected.map((entry, at) => entry.id ?? told[at].getId()));
            return told.length > 0;
        });
    }

    /** Paged back to the start, it is the whole story. */
    async isWhollyTold(reader, entries = this.entries) {
        await scrollToStart(reader, this.roomId, 100);
        await this.isTold(reader, entries);
        assert.equal(timeline(reader, this.roomId).length, entries.length);
    }

    /** For one that has come late: going back, the SDK leaves out of the timeline what relates to an event before it. */
    plain() {
        return this.entries.filter(({ line }) => !/ (edits|redacts|reacts .*)$/.test(line));
    }

    /** The event as the reader has it. */
    event(reader, id) {
        const event = reader.getRoom(this.roomId).findEventById(id);
        assert(event, `${reader.getUserId()} does not have ${id}`);
        return event;
    }
}

function timeline(reader, roomId) {
    return reader.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [];
}
