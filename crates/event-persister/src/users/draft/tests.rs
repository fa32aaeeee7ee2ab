use ganglion_model::RoomNid;
use ganglion_proto::persister::{
    CreateLoginToken, DeleteDevices, Login, Logout, NewDevice, Refresh, RefreshToken, Report,
    SetAccountData, SetStanding, SetTag, UpdateDevice, UseToken,
};
use ganglion_storage::accounts::{RegistrationTokenRecord, TokenPlace, TokenStage};
use ganglion_storage::log::kind;

use super::*;

const ALICE: &str = "@alice:hs.example";
const NEXT: Position = 10;

fn draft(registered: bool) -> Draft {
    let mut facts = Facts::default();
    facts.users.insert(ALICE.to_owned(), UserNid(1));
    if registered {
        facts.accounts.insert(UserNid(1), Standing::default());
    }
    Draft::new(facts, NEXT, 1_000)
}

fn run(draft: &mut Draft, command: Command) -> Result<OutcomeDone, MatrixError> {
    let command = UserCommand {
        user_id: ALICE.to_owned(),
        command: Some(command),
        ..Default::default()
    };
    match draft.execute(CommandId::random(), &command)? {
        Outcome::Done(done) | Outcome::Unchanged(done) => Ok(done),
        Outcome::Refused(error) => Err(error),
    }
}

fn device(id: &str, token: u8) -> NewDevice {
    NewDevice {
        device_id: id.to_owned(),
        display_name: None,
        token_hash: vec![token; 32].into(),
        refresh: None,
    }
}

fn login(id: &str, token: u8) -> Command {
    Command::Login(Login {
        device: Some(device(id, token)),
        login_token: None,
    })
}

fn logout(id: Option<&str>) -> Command {
    Command::Logout(Logout {
        device_id: id.map(str::to_owned),
    })
}

fn data(kind: &str, room: Option<&str>, content: &'static str) -> Command {
    Command::SetAccountData(SetAccountData {
        room_id: room.map(str::to_owned),
        r#type: kind.to_owned(),
        content: content.into(),
    })
}

fn profile(field: &str, value: Option<&str>) -> Command {
    let value = value.map(|value| Bytes::copy_from_slice(value.as_bytes()));
    Command::SetProfileField(SetProfileField {
        field: field.to_owned(),
        value,
    })
}

fn tokens(draft: &Draft) -> Vec<u8> {
    draft
        .rows
        .tokens
        .iter()
        .map(|row| row.token_hash[0])
        .collect()
}

#[test]
fn the_second_registration_of_a_name_is_refused() {
    let mut draft = draft(false);
    let register = Register {
        password_hash: "h".to_owned(),
        device: Some(device("D", 1)),
        ..Default::default()
    };
    run(&mut draft, Command::Register(register.clone())).unwrap();
    let error = run(&mut draft, Command::Register(register)).unwrap_err();
    assert_eq!(
        (error.status, error.errcode.as_str()),
        (400, "M_USER_IN_USE")
    );
    assert_eq!(draft.rows.accounts.len(), 1);
    assert_eq!(tokens(&draft), [1]);
    assert!(draft.entries.is_empty(), "nothing ended, nothing to tell");
    run(&mut draft, login("D2", 2)).unwrap();
}

#[test]
fn a_registration_token_counts_within_the_batch() {
    let mut draft = draft(false);
    draft
        .facts
        .users
        .insert("@bob:hs.example".to_owned(), UserNid(2));
    let record = RegistrationTokenRecord {
        uses_allowed: Some(1),
        completed: 0,
        expires_at: None,
    };
    draft
        .facts
        .registration_tokens
        .insert("once".to_owned(), record);
    let register = Register {
        registration_token: Some("once".to_owned()),
        ..Default::default()
    };
    run(&mut draft, Command::Register(register.clone())).unwrap();
    let bob = UserCommand {
        user_id: "@bob:hs.example".to_owned(),
        command: Some(Command::Register(register)),
        ..Default::default()
    };
    let error = draft.execute(CommandId::random(), &bob).err().unwrap();
    assert_eq!(
        (error.status, error.errcode.as_str()),
        (401, "M_UNAUTHORIZED")
    );
    assert_eq!(draft.rows.registration_tokens, ["once"]);
}

#[test]
fn a_token_ends_with_the_next_login_of_its_device() {
    let mut draft = draft(true);
    run(&mut draft, login("D", 1)).unwrap();
    assert!(draft.rows.revocations.is_empty(), "a new device");
    let done = run(&mut draft, login("D", 2)).unwrap();
    assert_eq!(tokens(&draft), [2]);
    assert_eq!(draft.rows.devices.len(), 1);
    assert_eq!(done.position, NEXT);
    assert_eq!(draft.rows.revocations[0].ends, Ends::Tokens);
    assert_eq!(draft.entries[0].kind, kind::TOKEN_REVOCATION);
}

#[test]
fn a_logout_undoes_the_logins_before_it_and_not_those_after() {
    let mut draft = draft(true);
    draft.facts.devices.insert((UserNid(1), "OLD".to_owned()));
    run(&mut draft, login("OLD", 1)).unwrap();
    run(&mut draft, login("NEW", 2)).unwrap();
    run(&mut draft, logout(None)).unwrap();
    assert!(draft.rows.tokens.is_empty() && draft.rows.devices.is_empty());
    run(&mut draft, login("NEW", 3)).unwrap();
    assert_eq!(tokens(&draft), [3]);
    assert_eq!(draft.rows.devices.len(), 1);
    run(&mut draft, logout(Some("OTHER"))).unwrap();
    assert_eq!(tokens(&draft), [3]);
}

#[test]
fn the_last_account_data_of_a_key_stands() {
    let mut draft = draft(true);
    draft.facts.rooms.insert("!r".to_owned(), RoomNid(5));
    run(&mut draft, data("a.b", None, "1")).unwrap();
    run(&mut draft, data("a.b", Some("!r"), "2")).unwrap();
    let done = run(&mut draft, data("a.b", None, "3")).unwrap();
    assert_eq!(done.position, NEXT + 2);
    let mut rows: Vec<_> = draft
        .rows
        .account_data
        .iter()
        .map(|r| (r.pos, r.content.clone()))
        .collect();
    rows.sort();
    assert_eq!(rows, [(NEXT + 1, b"2".to_vec()), (NEXT + 2, b"3".to_vec())]);
    let positions: Vec<_> = draft.entries.iter().map(|entry| entry.pos).collect();
    assert_eq!(
        positions,
        [NEXT + 1, NEXT + 2],
        "the first position is void"
    );
    assert_eq!(
        run(&mut draft, data("a.b", Some("!x"), "2"))
            .unwrap_err()
            .status,
        404
    );
    assert_eq!(
        run(&mut draft, data("a\0", None, "2")).unwrap_err().status,
        400
    );
}

#[test]
fn a_filter_has_the_same_id_every_time() {
    let mut draft = draft(true);
    let filter = |body: &'static str| Command::CreateFilter(CreateFilter { body: body.into() });
    let one = run(&mut draft, filter("{}")).unwrap().value;
    assert_eq!(run(&mut draft, filter("{}")).unwrap().value, one);
    assert_ne!(
        run(&mut draft, filter(r#"{"room":{}}"#)).unwrap().value,
        one
    );
    assert!(one.bytes().all(|b| b.is_ascii_hexdigit()));
}

#[test]
fn profile_changes_start_one_job() {
    let mut draft = draft(true);
    run(&mut draft, profile("m.tz", Some("\"UTC\""))).unwrap();
    assert!(draft.rows.jobs.is_empty(), "not shown in rooms");
    run(&mut draft, profile("displayname", Some("\"A\""))).unwrap();
    run(&mut draft, profile("displayname", Some("\"B\""))).unwrap();
    run(&mut draft, profile("avatar_url", None)).unwrap();
    assert_eq!(draft.rows.jobs.len(), 1);
    let rows: Vec<_> = draft
        .rows
        .profiles
        .iter()
        .map(|row| row.field.as_str())
        .collect();
    assert_eq!(
        rows,
        ["m.tz", "displayname"],
        "an absent field is not removed again"
    );
    assert_eq!(
        draft.rows.profiles[1].value.as_deref(),
        Some(b"\"B\"".as_slice())
    );
}

#[test]
fn a_profile_stays_below_its_limit() {
    let mut draft = draft(true);
    let half = format!("\"{}\"", "x".repeat(40_000));
    run(&mut draft, profile("a.a", Some(&half))).unwrap();
    let error = run(&mut draft, profile("a.b", Some(&half))).unwrap_err();
    assert_eq!(error.errcode, "M_PROFILE_TOO_LARGE");
    run(&mut draft, profile("a.a", None)).unwrap();
    run(&mut draft, profile("a.b", Some(&half))).unwrap();
}

#[test]
fn who_has_no_active_account_does_nothing() {
    assert_eq!(
        run(&mut draft(false), login("D", 1)).unwrap_err().errcode,
        "M_FORBIDDEN"
    );
    let mut gone = draft(true);
    let deactivated = Standing {
        deactivated: true,
        ..Standing::default()
    };
    gone.facts.accounts.insert(UserNid(1), deactivated);
    assert_eq!(
        run(&mut gone, login("D", 1)).unwrap_err().errcode,
        "M_USER_DEACTIVATED"
    );
    let stranger = UserCommand {
        user_id: "@x:other".to_owned(),
        ..Default::default()
    };
    assert!(gone.execute(CommandId::random(), &stranger).is_err());
}

fn place(stage: TokenStage) -> TokenPlace {
    TokenPlace {
        user_nid: UserNid(1),
        device_id: "D".to_owned(),
        stage,
    }
}

/// With the device D, whose pair of tokens 1 is in use, and, where there is one, the next pair 2.
fn refreshing(with_next: bool) -> Draft {
    let mut draft = draft(true);
    let facts = &mut draft.facts;
    facts.devices.insert((UserNid(1), "D".to_owned()));
    facts.access.insert([1; 32], place(TokenStage::Current));
    facts.refresh.insert([1; 32], place(TokenStage::Current));
    if with_next {
        facts.access.insert([2; 32], place(TokenStage::Next));
        facts.refresh.insert([2; 32], place(TokenStage::Next));
    }
    draft
}

fn refresh(held: u8, new: u8) -> Command {
    let hash = |number| Bytes::from(vec![number; 32]);
    Command::Refresh(Refresh {
        refresh_hash: hash(held),
        token_hash: hash(new),
        next: Some(RefreshToken {
            token_hash: hash(new),
            lifetime_ms: 500,
        }),
    })
}

fn used(token: u8) -> Command {
    Command::UseToken(UseToken {
        token_hash: Bytes::from(vec![token; 32]),
    })
}

#[test]
fn a_refresh_that_is_repeated_leaves_one_next_pair() {
    let mut draft = refreshing(true);
    run(&mut draft, refresh(1, 3)).unwrap();
    run(&mut draft, refresh(1, 4)).unwrap();
    let rows = draft.rows.tokens.iter();
    let rows: Vec<_> = rows.map(|row| (row.stage, row.expires_at)).collect();
    let replaced = (TokenStage::Past, Some(0));
    assert_eq!(rows, [replaced, (TokenStage::Next, Some(1_500))]);
    assert_eq!(draft.rows.replaced_next, [(UserNid(1), "D".to_owned())]);
    assert!(draft.entries.is_empty(), "nothing that was used has ended");
    for refused in [used(2), refresh(2, 5)] {
        let error = run(&mut draft, refused).unwrap_err();
        assert_eq!(error.extra.as_deref(), Some(r#"{"soft_logout":true}"#));
    }
}

#[test]
fn the_first_use_of_the_next_pair_ends_the_one_before() {
    for by in [used(2), refresh(2, 3)] {
        let mut draft = refreshing(true);
        run(&mut draft, by).unwrap();
        assert_eq!(draft.rows.revocations[0].ends, Ends::Current);
        assert_eq!(draft.entries[0].kind, kind::TOKEN_REVOCATION);
        let refused = run(&mut draft, refresh(1, 9)).unwrap_err();
        assert_eq!(refused.extra.as_deref(), Some(r#"{"soft_logout":true}"#));
        assert_eq!(run(&mut draft, used(1)).unwrap_err().status, 401);
        run(&mut draft, used(2)).unwrap();
        assert_eq!(draft.rows.revocations.len(), 1, "once is enough");
        run(&mut draft, refresh(2, 4)).unwrap();
        let next = draft.rows.tokens.iter();
        let mut next = next.filter(|row| row.stage == TokenStage::Next);
        assert_eq!(next.next().map(|row| row.token_hash), Some([4; 32]));
        assert!(next.next().is_none());
    }
}

#[test]
fn a_device_that_ends_takes_its_refresh_tokens_with_it() {
    for end in [logout(None), logout(Some("D")), login("D", 7)] {
        let mut draft = refreshing(true);
        run(&mut draft, refresh(1, 3)).unwrap();
        run(&mut draft, end).unwrap();
        assert!(draft.rows.refresh_tokens.is_empty());
        for held in [1, 2] {
            let refused = run(&mut draft, refresh(held, 9)).unwrap_err();
            assert_eq!(refused.extra.as_deref(), Some(r#"{"soft_logout":false}"#));
        }
    }
}

#[test]
fn devices_are_named_and_deleted() {
    let mut draft = refreshing(false);
    let name = |id: &str, name: Option<&str>| {
        Command::UpdateDevice(UpdateDevice {
            device_id: id.to_owned(),
            display_name: name.map(str::to_owned),
        })
    };
    let delete = |ids: &[&str]| {
        let device_ids = ids.iter().map(|id| (*id).to_owned()).collect();
        Command::DeleteDevices(DeleteDevices { device_ids })
    };
    run(&mut draft, login("NEW", 2)).unwrap();
    run(&mut draft, name("NEW", Some("n"))).unwrap();
    run(&mut draft, name("D", Some("a"))).unwrap();
    run(&mut draft, name("D", Some("b"))).unwrap();
    run(&mut draft, name("D", None)).unwrap();
    assert_eq!(draft.rows.devices[0].display_name.as_deref(), Some("n"));
    assert_eq!(draft.rows.device_names.len(), 1);
    assert_eq!(draft.rows.device_names[0].display_name, "b");
    let missing = run(&mut draft, name("X", None)).unwrap_err();
    assert_eq!(missing.status, 404);
    run(&mut draft, delete(&["D", "NEW", "X", "D"])).unwrap();
    assert_eq!(draft.rows.revocations.len(), 2);
    assert!(draft.rows.devices.is_empty() && draft.rows.device_names.is_empty());
    let position = draft.next;
    run(&mut draft, delete(&["D", "X"])).unwrap();
    assert_eq!(draft.next, position);
}

#[test]
fn a_new_password_keeps_the_device_it_came_from() {
    let set = |end_other_devices| {
        Command::SetPassword(SetPassword {
            password_hash: "h".to_owned(),
            device_id: "D".to_owned(),
            end_other_devices,
        })
    };
    let mut draft = refreshing(false);
    run(&mut draft, login("NEW", 2)).unwrap();
    run(&mut draft, set(false)).unwrap();
    assert_eq!(tokens(&draft), [2]);
    run(&mut draft, set(true)).unwrap();
    assert!(tokens(&draft).is_empty());
    assert_eq!(draft.rows.passwords.len(), 1);
    let devices: Vec<_> = draft.facts.devices.iter().map(|(_, id)| id).collect();
    assert_eq!(devices, ["D"]);
}

#[test]
fn a_deactivated_account_keeps_nothing() {
    let mut draft = refreshing(false);
    run(&mut draft, login("NEW", 2)).unwrap();
    run(&mut draft, profile("displayname", Some("\"A\""))).unwrap();
    run(&mut draft, data("a.b", None, "1")).unwrap();
    run(&mut draft, Command::Deactivate(Deactivate { erase: true })).unwrap();
    let rows = &draft.rows;
    assert!(rows.tokens.is_empty() && rows.profiles.is_empty() && rows.account_data.is_empty());
    let kinds: Vec<_> = rows.jobs.iter().map(|job| job.kind).collect();
    assert_eq!(kinds, [jobs::LEAVE_ROOMS]);
    assert_eq!(rows.deactivations.len(), 1);
    assert_eq!(draft.entries.len(), 1, "the end of the tokens");
    let error = run(&mut draft, login("D", 1)).unwrap_err();
    assert_eq!(error.errcode, "M_USER_DEACTIVATED");
}

fn tag(name: &str, content: Option<&'static str>) -> Command {
    Command::SetTag(SetTag {
        room_id: "!r:hs.example".to_owned(),
        tag: name.to_owned(),
        content: content.map(Into::into),
    })
}

#[test]
fn tags_of_one_batch_add_up() {
    let mut draft = draft(true);
    draft
        .facts
        .rooms
        .insert("!r:hs.example".to_owned(), RoomNid(5));
    let key = (UserNid(1), Some(RoomNid(5)), "m.tag".to_owned());
    let stored = br#"{"tags":{"a":{"order":0.1}}}"#.to_vec();
    draft.facts.account_data.insert(key, stored);
    run(&mut draft, tag("b", Some("{}"))).unwrap();
    run(&mut draft, tag("c", Some(r#"{"order":1.0}"#))).unwrap();
    run(&mut draft, tag("b", None)).unwrap();
    run(&mut draft, tag("nothing", None)).unwrap();
    let error = run(&mut draft, tag("", Some("{}"))).unwrap_err();
    assert_eq!(error.errcode, "M_INVALID_PARAM");
    let [row] = draft.rows.account_data.as_slice() else {
        panic!("{:?}", draft.rows.account_data);
    };
    let wanted = br#"{"tags":{"a":{"order":0.1},"c":{"order":1.0}}}"#;
    assert_eq!(row.content, wanted, "numbers stay as they are written");
    assert_eq!(draft.entries.len(), 1, "the others are superseded");
}

fn standing(set: SetStanding) -> Command {
    Command::SetStanding(set)
}

fn locked(yes: bool) -> Command {
    standing(SetStanding {
        locked: Some(yes),
        ..Default::default()
    })
}

#[test]
fn a_locked_account_is_served_logouts_only() {
    let mut draft = draft(true);
    run(&mut draft, locked(true)).unwrap();
    assert_eq!(draft.entries[0].kind, kind::TOKEN_REVOCATION);
    assert_eq!(draft.rows.revocations[0].ends, Ends::Nothing);
    assert!(draft.rows.standings[0].standing.locked);
    let error = run(&mut draft, login("D", 1)).unwrap_err();
    assert_eq!(
        (error.status, error.errcode.as_str()),
        (401, "M_USER_LOCKED")
    );
    run(&mut draft, logout(None)).unwrap();
    let before = draft.next;
    run(&mut draft, locked(true)).unwrap();
    assert_eq!(draft.next, before, "it is so already");
    run(&mut draft, locked(false)).unwrap();
    assert_eq!(draft.rows.standings.len(), 1, "the last word of the batch");
    run(&mut draft, login("D", 1)).unwrap();
}

#[test]
fn administrators_have_no_power_over_another() {
    let mut draft = draft(true);
    let make = SetStanding {
        administrator: Some(true),
        ..Default::default()
    };
    run(&mut draft, standing(make)).unwrap();
    let by_another = SetStanding {
        suspended: Some(true),
        by_administrator: true,
        ..Default::default()
    };
    let error = run(&mut draft, standing(by_another)).unwrap_err();
    assert_eq!(error.errcode, "M_FORBIDDEN");
    let by_operator = SetStanding {
        by_administrator: false,
        ..by_another
    };
    run(&mut draft, standing(by_operator)).unwrap();
    let after = draft.rows.standings[0].standing;
    assert!(after.suspended && after.kind == 1);
    run(&mut draft, Command::Deactivate(Deactivate { erase: false })).unwrap();
    assert_eq!(run(&mut draft, locked(true)).unwrap_err().status, 404);
}

#[test]
fn a_login_token_is_used_once() {
    let mut draft = draft(true);
    let make = |token: u8, lifetime_ms: i64| {
        Command::CreateLoginToken(CreateLoginToken {
            token_hash: vec![token; 32].into(),
            lifetime_ms,
        })
    };
    let with = |token: u8| {
        Command::Login(Login {
            device: Some(device("D", 9)),
            login_token: Some(vec![token; 32].into()),
        })
    };
    run(&mut draft, make(1, 10)).unwrap();
    run(&mut draft, make(2, 0)).unwrap();
    run(&mut draft, make(3, 10)).unwrap();
    run(&mut draft, with(1)).unwrap();
    assert_eq!(draft.rows.used_login_tokens, [[1; 32]]);
    for (token, why) in [(1, "used"), (2, "expired"), (7, "unknown")] {
        let error = run(&mut draft, with(token)).unwrap_err();
        assert_eq!(error.errcode, "M_FORBIDDEN", "{why}");
    }
    run(&mut draft, logout(None)).unwrap();
    assert!(run(&mut draft, with(3)).is_err(), "ended with the sessions");
    assert!(draft.rows.login_tokens.is_empty());
}

#[test]
fn reports_are_bounded() {
    let mut draft = draft(true);
    let report = |room: Option<&str>, reason: String| {
        Command::Report(Report {
            room_id: room.map(str::to_owned),
            reason,
            ..Default::default()
        })
    };
    run(&mut draft, report(Some("!r:x"), "why".to_owned())).unwrap();
    for (bad, status) in [
        (report(None, "why".to_owned()), 400),
        (report(Some(&"x".repeat(256)), "why".to_owned()), 400),
        (report(Some("!r:x"), "\0".to_owned()), 400),
        (report(Some("!r:x"), "x".repeat(9_000)), 413),
    ] {
        assert_eq!(run(&mut draft, bad).unwrap_err().status, status);
    }
    assert_eq!(draft.rows.reports.len(), 1);
    assert_eq!(draft.next, NEXT, "reports are no entries of the log");
}

fn status(text: Option<&str>) -> Command {
    Command::SetPresence(SetPresence {
        state: 2,
        last_active_ms: 0,
        status: Some(StatusMessage {
            text: text.map(str::to_owned),
        }),
    })
}

#[test]
fn the_owner_says_which_status_message_is_the_last() {
    let mut draft = draft(true);
    // Written by somebody whose clock was ahead.
    let known = (Some("there".to_owned()), 5_000);
    draft.facts.statuses.insert(UserNid(1), known);
    assert_eq!(
        run(&mut draft, status(Some("there"))).unwrap().value,
        "5000"
    );
    assert!(draft.rows.presence.is_empty(), "nothing to write");
    assert_eq!(run(&mut draft, status(Some("here"))).unwrap().value, "5001");
    assert_eq!(
        run(&mut draft, status(Some("there"))).unwrap().value,
        "5002"
    );
    // The state alone leaves the message as it is.
    let state = Command::SetPresence(SetPresence::default());
    run(&mut draft, state).unwrap();
    let [row] = draft.rows.presence.as_slice() else {
        panic!("one row of a user");
    };
    assert_eq!(row.status, Some((Some("there".to_owned()), 5_002)));
    assert_eq!(run(&mut draft, status(None)).unwrap().value, "5003");
}

#[test]
fn the_first_status_message_is_of_the_time_of_the_batch() {
    let mut draft = draft(true);
    assert_eq!(run(&mut draft, status(None)).unwrap().value, "0");
    assert_eq!(run(&mut draft, status(Some("here"))).unwrap().value, "1000");
}
