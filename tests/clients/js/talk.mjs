// Two users of matrix-js-sdk. `node talk.mjs URL TAG`; the tag makes the names new.

import assert from "node:assert/strict";
import { fails, login, logout, main, register, say, scrollToStart, sees, start, until, view } from "./client.mjs";

const [url, tag] = process.argv.slice(2);

await main(async () => {
    const alice = await register(url, `js-alice-${tag}`);
    const bob = await register(url, `js-bob-${tag}`);
    const [a, b] = [alice.getUserId(), bob.getUserId()];
    await fails("M_USER_IN_USE", register(url, `js-alice-${tag}`));
    await start(alice, { lazy: false, timeline: 50 });
    await start(bob, { lazy: true, initial: 3, timeline: 6 });
    // Nobody has a name yet.
    const names = { [a]: a, [b]: b };

    await serverFacts(alice);
    const tea = await invitation(alice, bob, names);
    const all = await talk(alice, bob, tea, names);
    await history(alice, bob, tea, all);
    await publicRoom(alice, bob);
    await otherDevices(alice, bob, tea, all);
    await optional(alice, tea);

    await bob.leave(tea);
    await sees(alice, tea, { members: { [a]: "Alice" } });
    await until("bob to have left", () => bob.getRoom(tea).getMyMembership() === "leave");
    await fails("M_FORBIDDEN", bob.sendTextMessage(tea, "still here?"));
    await logout(bob);
    await logout(alice);
});

async function serverFacts(alice) {
    const capabilities = await alice.getCapabilities();
    assert.equal(capabilities["m.room_versions"].available[capabilities["m.room_versions"].default], "stable");
    assert((await alice.getVersions()).versions.includes("v1.1"));
    assert(await alice.isVersionSupported("v1.1"));
    assert(alice.pushRules.global.underride.length > 0, "no push rules");
    const flows = (await alice.loginFlows()).flows.map((flow) => flow.type);
    assert(flows.includes("m.login.password"));
    assert.equal((await alice.whoami()).device_id, alice.getDeviceId());
    await alice.setAccountData("org.example.colour", { is: "green" });
    await until("account data by sync", () => alice.getAccountData("org.example.colour")?.getContent().is === "green");
}

/** Alice makes a room and talks alone; Bob is invited, sees so, and joins. */
async function invitation(alice, bob, names) {
    const invite = [bob.getUserId()];
    const { room_id: tea } = await alice.createRoom({ name: "Tea", preset: "private_chat", invite });
    await until("alice's room", () => alice.getRoom(tea));
    await say(alice, tea, "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8");
    await until("bob's invitation", () => bob.getRoom(tea)?.getMyMembership() === "invite");
    assert.equal(bob.getRoom(tea).name, "Tea");
    const member = bob.getRoom(tea).getMember(bob.getUserId());
    assert.equal(member.events.member.getSender(), alice.getUserId());
    await bob.joinRoom(tea);
    for (const client of [alice, bob]) await sees(client, tea, { membership: "join", name: "Tea", members: names });
    return tea;
}

/** Both talk, a message is redacted, the topic and a name change; what was said. */
async function talk(alice, bob, tea, names) {
    const said = ["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "b1", "b2", "a9", "b3"];
    await say(bob, tea, "b1", "b2");
    await until("alice to hear b2", () => view(alice, tea).texts.at(-1) === "b2");
    await say(alice, tea, "a9");
    await until("bob to hear a9", () => view(bob, tea).texts.at(-1) === "a9");
    await say(bob, tea, "b3");
    await sees(alice, tea, { texts: said });

    const secret = alice.getRoom(tea).getLiveTimeline().getEvents().find((event) => event.getContent().body === "b2");
    await alice.redactEvent(tea, secret.getId(), undefined, { reason: "hush" });
    const all = said.map((text) => (text === "b2" ? "(redacted)" : text));
    await sees(alice, tea, { texts: all });
    await until("bob to lose b2", () => bob.getRoom(tea).findEventById(secret.getId()).isRedacted());
    assert.deepEqual((await bob.fetchRoomEvent(tea, secret.getId())).content, {});
    await fails("M_FORBIDDEN", bob.setRoomTopic(tea, "mutiny"));
    await alice.setRoomTopic(tea, "Green or black?");
    await alice.setDisplayName("Alice");
    const members = { ...names, [alice.getUserId()]: "Alice" };
    for (const client of [alice, bob]) await sees(client, tea, { topic: "Green or black?", members });
    assert.equal((await bob.getProfileInfo(alice.getUserId())).displayname, "Alice");
    return all;
}

/** Both page back to the beginning and have the same; so has the server, asked directly. */
async function history(alice, bob, tea, all) {
    for (const client of [alice, bob]) {
        await scrollToStart(client, tea);
        await sees(client, tea, { texts: all });
        const { joined } = await client.getJoinedRoomMembers(tea);
        const members = Object.fromEntries(Object.entries(joined).map(([id, who]) => [id, who.display_name ?? id]));
        assert.deepEqual(members, view(client, tea).members);
        const state = await client.roomState(tea);
        const own = client.getRoom(tea).currentState;
        assert(state.length >= 8, JSON.stringify(state));
        for (const event of state) {
            const id = own.getStateEvents(event.type, event.state_key)?.getId();
            assert.equal(id, event.event_id, `${event.type} ${event.state_key}`);
        }
    }
    // Not in order: a client puts its own words before what comes by sync while they are sent.
    assert.deepEqual(ids(alice, tea).sort(), ids(bob, tea).sort());
}

function ids(client, roomId) {
    return client.getRoom(roomId).getLiveTimeline().getEvents().map((event) => event.getId());
}

/** Joined by its alias; then Bob is kicked. */
async function publicRoom(alice, bob) {
    const alias = `js-square-${tag}`;
    const { room_id: square } = await alice.createRoom({
        name: "Square", topic: "Everyone", visibility: "public", preset: "public_chat", room_alias_name: alias,
    });
    const domain = alice.getDomain();
    await bob.joinRoom(`#${alias}:${domain}`);
    await sees(bob, square, { name: "Square", topic: "Everyone" });
    assert.equal(bob.getRoom(square).getCanonicalAlias(), `#${alias}:${domain}`);
    assert.equal(bob.getRoom(square).getJoinRule(), "public");
    await say(bob, square, "hello all");
    await sees(alice, square, { texts: ["hello all"] });
    assert((await bob.getJoinedRooms()).joined_rooms.includes(square));
    await alice.kick(square, bob.getUserId(), "too loud");
    await until("bob to be kicked", () => bob.getRoom(square).getMyMembership() === "leave");
    const kicked = bob.getRoom(square).getMember(bob.getUserId()).events.member;
    assert.equal(kicked.getContent().reason, "too loud");
    assert.equal(kicked.getSender(), alice.getUserId());
    await sees(alice, square, { members: { [alice.getUserId()]: "Alice" } });
    assert(!(await bob.getJoinedRooms()).joined_rooms.includes(square));
}

/** New devices, whose first sync is short, come to the same view; loading members lazily or not. */
async function otherDevices(alice, bob, tea, all) {
    const old = view(alice, tea);
    let order = [];
    for (const [user, lazy] of [[alice, true], [bob, false]]) {
        const device = await login(user);
        await start(device, { lazy, initial: 2 });
        assert(view(device, tea).texts.length < all.length, "the first sync has all");
        await device.getRoom(tea).loadMembersIfNeeded();
        await sees(device, tea, { name: old.name, topic: old.topic, members: old.members });
        await scrollToStart(device, tea);
        await sees(device, tea, old);
        const found = ids(device, tea);
        assert.deepEqual(found.slice(0, order.length), order);
        order = found;
        // What is said by the one device comes to the other.
        await say(device, tea, `from ${user === alice ? "alice" : "bob"}'s second device`);
        old.texts.push(`from ${user === alice ? "alice" : "bob"}'s second device`);
        for (const client of [alice, bob, device]) {
            await until("the second device's words", () => view(client, tea).texts.at(-1) === old.texts.at(-1));
        }
        await logout(device);
    }
    // The first devices go on.
    await alice.whoami();
}

/** What clients ask for along the way. It works or is unknown to the server, which clients cope with. */
async function optional(alice, tea) {
    const events = alice.getRoom(tea).getLiveTimeline().getEvents();
    const [first, last] = [events[0], events.at(-1)];
    // This one does not have all in memory.
    const device = await login(alice);
    await start(device, { lazy: true, initial: 1 });
    const requests = {
        typing: () => alice.sendTyping(tea, true, 1000),
        receipt: () => alice.sendReadReceipt(last),
        markers: () => alice.setRoomReadMarkers(tea, last.getId(), last),
        presence: () => alice.setPresence({ presence: "unavailable" }),
        directory: () => alice.publicRooms({ limit: 1 }),
        alias: () => alice.getRoomIdForAlias(`#js-square-${tag}:${alice.getDomain()}`),
        devices: () => alice.getDevices(),
        turn: () => alice.turnServer(),
        media: () => alice.getMediaConfig(true),
        pushers: () => alice.getPushers(),
        threepids: () => alice.getThreePids(),
        context: () => device.getEventTimeline(device.getRoom(tea).getUnfilteredTimelineSet(), first.getId()),
        threads: () => alice.createThreadListMessagesRequest(tea, null, 1),
        relations: () => alice.fetchRelations(tea, last.getId(), "m.thread", null, { limit: 1 }),
        hierarchy: () => alice.getRoomHierarchy(tea, 1),
        users: () => alice.searchUserDirectory({ term: "bob" }),
        search: () => alice.searchMessageText({ query: "a1" }),
        rule: () => alice.setPushRuleEnabled("global", "override", ".m.rule.master", false),
    };
    for (const [name, request] of Object.entries(requests)) {
        try {
            await request();
        } catch (error) {
            assert.equal(error.errcode, "M_UNRECOGNIZED", `${name}: ${error.stack}`);
            assert([404, 405].includes(error.httpStatus), `${name}: ${error.httpStatus}`);
        }
    }
    await say(alice, tea, "and still we talk");
    for (const client of [alice, device]) {
        await until("alice's last words", () => view(client, tea).texts.at(-1) === "and still we talk");
    }
    await logout(device);
}
