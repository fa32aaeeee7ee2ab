// Who is in a room and who is not: invitations, a kick, a ban; and the room's replacement and its space.

import assert from "node:assert/strict";
import { fails, until } from "./client.mjs";
import { Story, short } from "./story.mjs";

/** Invited by Alice's `host`, the guest joins. */
export async function comes(story, host, guest) {
    const name = short(guest.getUserId());
    await host.invite(story.roomId, guest.getUserId());
    await story.goesOn(`alice invite ${name}`);
    await isNow(story, guest, "invite");
    await guest.joinRoom(story.roomId);
    story.readers.push(guest);
    await story.goesOn(`${name} join ${name}`);
}

/** Carol is kicked, comes back and is banned. */
export async function kickAndBan(story, { desktop, carol }) {
    await goes(story, carol, "leave", (user, reason) => desktop.kick(story.roomId, user, reason));
    await comes(story, desktop, carol);
    await goes(story, carol, "ban", (user, reason) => desktop.ban(story.roomId, user, reason));
    await fails("M_FORBIDDEN", carol.joinRoom(story.roomId));
}

async function goes(story, guest, membership, end) {
    const user = guest.getUserId();
    await end(user, "too many roses");
    story.readers = story.readers.filter((reader) => reader !== guest);
    await story.goesOn(`alice ${membership} ${short(user)}`);
    await isNow(story, guest, membership);
    // That is the last the guest is told.
    await story.isTold(guest);
    const event = guest.getRoom(story.roomId).getMember(user).events.member;
    assert.equal(event.getContent().reason, "too many roses");
}

async function isNow(story, client, membership) {
    await until(`${membership} of ${client.getUserId()}`, () => client.getRoom(story.roomId)?.getMyMembership() === membership);
}

/** The memberships as the reader has them, once all members are loaded. */
export async function members(story, reader, expected) {
    const room = reader.getRoom(story.roomId);
    await room.loadMembersIfNeeded();
    await until(`the members of ${reader.getUserId()}`, () => {
        const found = room.currentState.getMembers().map((member) => [short(member.userId), member.membership]);
        assert.deepEqual(Object.fromEntries(found), expected);
        return true;
    });
}

/** The room is replaced by one of version 12, and Bob goes there. */
export async function upgrade(story, { desktop, phone, bob }) {
    const { replacement_room: roomId } = await desktop.upgradeRoom(story.roomId, "12");
    await story.goesOnWith("alice m.room.tombstone", "alice m.room.power_levels");
    const next = new Story(roomId, [desktop, phone]);
    await next.begins(
        "alice m.room.create", "alice join alice", "alice m.room.power_levels", "alice m.room.join_rules",
        "alice m.room.history_visibility", "alice m.room.guest_access", "alice m.room.name", "alice ban carol");
    await comes(next, desktop, bob);
    for (const reader of next.readers) {
        const [old, room] = [story.roomId, roomId].map((id) => reader.getRoom(id));
        const tombstone = old.currentState.getStateEvents("m.room.tombstone", "");
        assert.equal(tombstone.getContent().replacement_room, roomId);
        assert.equal(room.findPredecessor().roomId, story.roomId);
        assert.equal(room.getVersion(), "12");
        assert.deepEqual(reader.getRoomUpgradeHistory(roomId, true).map((room) => room.roomId), [story.roomId, roomId]);
    }
    // Bob's tag has come along.
    await until("bob's tag", () => bob.getRoom(roomId).tags["u.weeds"]);
    return next;
}

/** A space with the new room in it, which Bob finds there. */
export async function space(next, { desktop, bob }) {
    const { room_id: roomId } = await desktop.createRoom({
        name: "Grounds", preset: "private_chat", creation_content: { type: "m.space" }, invite: [bob.getUserId()],
    });
    await desktop.sendStateEvent(roomId, "m.space.child", { via: [desktop.getDomain()], suggested: true }, next.roomId);
    await until("bob's invitation", () => bob.getRoom(roomId)?.getMyMembership() === "invite");
    await bob.joinRoom(roomId);
    for (const reader of [desktop, bob]) {
        await until("the space", () => reader.getRoom(roomId)?.currentState.getStateEvents("m.space.child", next.roomId));
        assert(reader.getRoom(roomId).isSpaceRoom());
        const { rooms } = await reader.getRoomHierarchy(roomId, 10);
        assert.deepEqual(rooms.map((room) => [room.room_id, room.name, room.num_joined_members]),
            [[roomId, "Grounds", 2], [next.roomId, "Garden", 2]]);
        assert.deepEqual(rooms[0].children_state.map((child) => child.state_key), [next.roomId]);
        assert.equal(rooms[0].children_state[0].content.suggested, true);
    }
}
