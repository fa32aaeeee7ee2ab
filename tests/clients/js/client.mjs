// What the scenarios share: clients of matrix-js-sdk as it is, and waiting.

import assert from "node:assert/strict";
import * as sdk from "matrix-js-sdk";
import { Filter } from "matrix-js-sdk";

const PASSWORD = "correct horse battery";

/** Shorter than the clients' long-polls: what comes within it has woken them. */
const PATIENCE_MS = 25_000;
const LONG_POLL_MS = 60_000;

/** "GET /path" of what was asked for and is not served. */
const unserved = new Set();

/** The requests that are not answered yet, of all clients, but for long-polls. */
const underway = new Set();

/** The global fetch, which also notes what is under way and what the server does not know. */
async function notingFetch(resource, options) {
    const answer = fetch(resource, options);
    if (!new URL(resource).pathname.endsWith("/sync")) underway.add(answer);
    const response = await answer.finally(() => underway.delete(answer));
    if (response.status === 404 || response.status === 405) {
        const body = await response.clone().json().catch(() => ({}));
        if (body.errcode === "M_UNRECOGNIZED") {
            const path = new URL(resource).pathname.replaceAll(/(%2[134]|%40|[!#$@])[^/]+/g, "*");
            unserved.add(`${options?.method ?? "GET"} ${path}`);
        }
    }
    return response;
}

// The client's own log goes there; warnings and errors stay.
console.debug = console.info = () => {};

function clientOf(url, login) {
    return sdk.createClient({
        baseUrl: url,
        userId: login.user_id,
        deviceId: login.device_id,
        accessToken: login.access_token,
        fetchFn: notingFetch,
        timelineSupport: true,
    });
}

export async function register(url, username) {
    const auth = { type: "m.login.dummy" };
    return clientOf(url, await clientOf(url, {}).registerRequest({ username, password: PASSWORD, auth }));
}

/** Another device of that user. */
export async function login(client) {
    const url = client.getHomeserverUrl();
    const identifier = { type: "m.id.user", user: client.getUserId() };
    return clientOf(url, await clientOf(url, {}).loginRequest({ type: "m.login.password", identifier, password: PASSWORD }));
}

/** Syncs, until its first sync is done; with `timeline` by a filter of its own. */
export async function start(client, { lazy, initial = 20, timeline, threads = false }) {
    let filter;
    if (timeline) {
        filter = new Filter(client.getUserId());
        filter.setTimelineLimit(timeline);
    }
    await client.startClient({
        lazyLoadMembers: lazy,
        threadSupport: threads,
        initialSyncLimit: initial,
        pollTimeout: LONG_POLL_MS,
        filter,
    });
    await until("the first sync", () => client.isInitialSyncComplete());
    assert.equal(client.hasLazyLoadMembersEnabled(), lazy);
}

/** Waits until `is` returns something true; throws what it threw last, or that it never came. */
export async function until(what, is) {
    const end = Date.now() + PATIENCE_MS;
    let error;
    while (Date.now() < end) {
        error = undefined;
        try {
            const found = await is();
            if (found) return found;
        } catch (thrown) {
            error = thrown;
        }
        await new Promise((resolve) => setTimeout(resolve, 30));
    }
    throw new Error(`waited in vain for ${what}`, { cause: error });
}

/** Waits until no client asks the server for anything. */
export async function quiet() {
    await until("silence", () => underway.size === 0);
}

/** The room as this client has it in memory. */
export function view(client, roomId) {
    const room = client.getRoom(roomId);
    assert(room, `${client.getUserId()} has no room ${roomId}`);
    const state = room.getLiveTimeline().getState("f");
    return {
        membership: room.getMyMembership(),
        name: room.name,
        topic: state.getStateEvents("m.room.topic", "")?.getContent().topic,
        members: Object.fromEntries(room.getJoinedMembers().map((member) => [member.userId, member.rawDisplayName])),
        texts: texts(room.getLiveTimeline().getEvents()),
    };
}

/** The texts of events of the client, oldest first. */
export function texts(events) {
    return events
        .filter((event) => event.getType() === "m.room.message")
        .map((event) => (event.isRedacted() ? "(redacted)" : event.getContent().body));
}

/** Waits until the client's view has these values. */
export async function sees(client, roomId, expected) {
    await until(`${client.getUserId()}'s view of the room`, () => {
        const found = view(client, roomId);
        for (const [key, value] of Object.entries(expected)) assert.deepEqual(found[key], value, key);
        return true;
    });
}

/** Pages back to the beginning of the room, by default a few events at a time. */
export async function scrollToStart(client, roomId, limit = 5) {
    const room = client.getRoom(roomId);
    for (let pages = 0; room.oldState.paginationToken !== null; pages++) {
        assert(pages < 50, "paging backwards does not end");
        await client.scrollback(room, limit);
    }
    const first = room.getLiveTimeline().getEvents()[0];
    assert.equal(first.getType(), "m.room.create");
}

export async function say(client, roomId, ...bodies) {
    for (const body of bodies) await client.sendTextMessage(roomId, body);
}

/** The request must fail with that Matrix error. */
export async function fails(errcode, request) {
    await assert.rejects(request, { errcode });
}

/** Logs out; the token is worth nothing after it. */
export async function logout(client) {
    await client.logout(true);
    await fails("M_UNKNOWN_TOKEN", clientOf(client.getHomeserverUrl(), {
        user_id: client.getUserId(),
        access_token: client.getAccessToken(),
    }).whoami());
}

/** Runs a scenario and ends the process: 0 if it went well. */
export async function main(scenario) {
    setTimeout(() => {
        console.error("FAILED: it takes too long");
        process.exit(1);
    }, 110_000);
    try {
        await scenario();
        for (const request of [...unserved].sort()) console.log(`not served: ${request}`);
        process.exit(0);
    } catch (error) {
        console.error("FAILED:", error);
        process.exit(1);
    }
}
