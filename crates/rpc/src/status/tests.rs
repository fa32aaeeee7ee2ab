use super::*;

#[test]
fn outcomes_survive_the_wire() {
    assert_eq!(
        classify(&wrong_owner(7)),
        RpcFailure::WrongOwner { epoch: 7 }
    );
    assert_eq!(classify(&busy()), RpcFailure::Busy);
    assert_eq!(
        classify(&unavailable("going")),
        RpcFailure::Unavailable("going".to_owned())
    );
    assert_eq!(
        classify(&Status::deadline_exceeded("")),
        RpcFailure::Deadline
    );
    assert_eq!(
        classify(&Status::permission_denied("no")),
        RpcFailure::Denied("no".to_owned())
    );
}
