use super::*;

fn job(user: i64, number: u8, kind: i16) -> JobRecord {
    JobRecord {
        shard: Shard::users().next().unwrap(),
        job_id: [number; 16],
        user_nid: UserNid(user),
        user_id: format!("@{user}:hs.example"),
        kind,
        done: RoomNid(0),
        body: Vec::new(),
        created_at: i64::from(number),
    }
}

#[test]
fn a_users_last_job_does_the_work_of_all() {
    let jobs = vec![
        job(1, 1, UPDATE_PROFILE),
        job(2, 2, UPDATE_PROFILE),
        job(1, 3, UPDATE_PROFILE),
        job(1, 4, 99),
        job(3, 5, UPDATE_PROFILE),
        job(3, 6, LEAVE_ROOMS),
        job(4, 7, FOLLOW_UPGRADE),
        job(4, 8, FOLLOW_UPGRADE),
        job(4, 9, UPDATE_PROFILE),
    ];
    let taken: Vec<u8> = newest(jobs).iter().map(|job| job.job_id[0]).collect();
    assert_eq!(
        taken,
        [2, 3, 6, 7, 8, 9],
        "a kind of a later version is left alone"
    );
}
