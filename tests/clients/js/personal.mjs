// What belongs to a user and comes to all of the user's devices; and presence, which others see.

import assert from "node:assert/strict";
import { until } from "./client.mjs";

export async function personal(story, { desktop, phone, bob }) {
    await desktop.setRoomTag(story.roomId, "m.favourite", { order: 0.25 });
    await bob.setRoomTag(story.roomId, "u.weeds");
    await desktop.setAccountData("org.example.colour", { is: "green" });
    await desktop.setRoomAccountData(story.roomId, "org.example.bed", { is: "dry" });
    await personalIsSeen(story, phone);
    await until("bob's tag", () => bob.getRoom(story.roomId).tags["u.weeds"]);
    // Each has only what is the own.
    assert.deepEqual(Object.keys(bob.getRoom(story.roomId).tags), ["u.weeds"]);
    assert.equal(bob.getAccountData("org.example.colour"), undefined);
    assert.equal(bob.getRoom(story.roomId).getAccountData("org.example.bed"), undefined);
}

/** By another device of Alice. */
export async function personalIsSeen(story, device) {
    const room = device.getRoom(story.roomId);
    await until("what is Alice's own", () => {
        assert.deepEqual(room.tags, { "m.favourite": { order: 0.25 } });
        assert.deepEqual(device.getAccountData("org.example.colour").getContent(), { is: "green" });
        assert.deepEqual(room.getAccountData("org.example.bed").getContent(), { is: "dry" });
        return true;
    });
}

/** Alice's status is seen; and that Bob is away, whose client says so with each sync. */
export async function presence({ desktop, phone, bob, carol }) {
    await desktop.setPresence({ presence: "online", status_msg: "digging" });
    await bob.setSyncPresence("unavailable");
    await bob.setPresence({ presence: "unavailable" });
    const [alice, away] = [desktop.getUserId(), bob.getUserId()];
    for (const reader of [bob, carol]) {
        await until("alice's presence", () => {
            const user = reader.getUser(alice);
            return user?.presence === "online" && user.presenceStatusMsg === "digging";
        });
    }
    for (const reader of [desktop, phone, carol]) {
        await until("bob's presence", () => reader.getUser(away)?.presence === "unavailable");
    }
    assert.equal((await carol.getPresence(alice)).status_msg, "digging");
    assert.equal((await carol.getPresence(away)).presence, "unavailable");
}
